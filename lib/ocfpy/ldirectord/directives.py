"""Every directive of ldirectord: how its value is parsed, or why it is refused."""

from __future__ import annotations

import re
from typing import Callable

from ocfpy.ldirectord import perlre
from ocfpy.ldirectord.model import COMBINED, Config, Fallback, Real, Section, Virtual
from ocfpy.ocf.addresses import shown

Reader = Callable[[Section, int, str], None]
"""Stores a value in a section. Raises ValueError with a sentence."""

SERVICES = (
    "dns", "ftp", "http", "https", "http_proxy", "imap", "imaps", "ldap", "ldaps", "mysql", "nntp", "none", "oracle",
    "pgsql", "pop", "pops", "radius", "simpletcp", "sip", "smtp", "submission",
)  # fmt: skip
CHECKTYPES = ("connect", "external", "external-perl", "negotiate", "off", "on", "ping")
FORWARDS = ("gate", "masq", "ipip")
MAX_NUMBER = 2**31 - 1

_MAIL = "without effect, ipvs-pool sends no mail: configure a Pacemaker alert (such as alert_smtp.sh), for every change"
REFUSED = {
    "callback": "is refused: each node reads its own file, and the tool that distributes it can run a program there",
    "execute": "is refused: create an ipvs-pool resource for each file",
    "monitorfile": "is refused: the system log has every change with its reason, `anycastctl status` each last check",
}
NOTED = {
    "supervised": "without effect, Pacemaker supervises the daemon",
    "logfile": "without effect, messages go to the system log with the facility of the cluster",
    "load": "without effect, as in ldirectord",
    "checkcount": "deprecated, see failurecount",
    "emailalert": _MAIL,
    "emailalertfrom": _MAIL,
    "emailalertfreq": _MAIL,
    "emailalertstatus": _MAIL,
    "smtp": _MAIL,
}
"""Directives without effect, and their replacements: a warning when the file is read."""

_COMMENT = r"\s*(?:#.*)?$"
_HOST = r"(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+?)"
_REAL = re.compile(rf"({_HOST})(?:->({_HOST}))?(?::([A-Za-z0-9_-]+))?\s+(\S.*)$", re.ASCII)
_FALLBACK = re.compile(rf"({_HOST})(?::([A-Za-z0-9_-]+))?(?:\s+(\w+))?$", re.ASCII)
_WEIGHT = re.compile(r"\s+([0-9]+)(?=\s|$)(.*)$")
_PAIR = re.compile(r'\s+"(.*)"[, ]\s*"(.*)"(.*)$')
_THRESHOLDS = {letter: re.compile(rf"\s+{letter}:([0-9]+)(?=\s|$)(.*)$") for letter in "lu"}


def number(text: str, minimum: int = 1, maximum: int = MAX_NUMBER) -> int:
    """A whole number; a comment may follow it."""
    match = re.match(rf"([0-9]{{1,10}}){_COMMENT}", text)
    if match is None or not minimum <= int(match.group(1)) <= maximum:
        raise ValueError(f"must be a whole number from {minimum} to {maximum}, not {shown(text)}")
    return int(match.group(1))


def yes_no(text: str) -> bool:
    """Parse yes or no, as ldirectord spells them."""
    if text not in ("yes", "no"):
        raise ValueError(f"must be yes or no, not {shown(text)}")
    return text == "yes"


def one_of(text: str, choices: tuple[str, ...]) -> str:
    """Parse one of several words."""
    if text not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}, not {shown(text)}")
    return text


def quoted(text: str) -> str:
    """Return the text between the first quote and the last; errors do not quote it, because it may be a password."""
    match = re.match(r'"(.*)"$', text)
    if match is None or not match.group(1):
        raise ValueError('must be in double quotes, with nothing after them (a # begins a comment, also inside quotes)')
    return match.group(1)


def maybe_quoted(text: str) -> str:
    """A text, with quotes around it or not."""
    bare = text[1:-1] if len(text) > 1 and text.startswith('"') and text.endswith('"') else text
    if not bare:
        raise ValueError("a value is missing")
    return bare


def uri(text: str) -> str:
    """Parse a request: ldirectord adds a leading / if it is missing, and removes it again if it is not a path."""
    text = quoted(text)
    return text if text.startswith("/") else f"/{text}"


def pattern(text: str) -> str:
    """Parse a receive string: a regular expression of Perl, kept as written."""
    text = quoted(text)
    perlre.to_python(text)
    return text


def netmask(section: Virtual, text: str) -> str:
    """Parse a netmask of the section's family."""
    if section.family == 6:
        return str(number(text, 1, 128))
    if not re.match(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$", text):
        raise ValueError(f"must be a dotted quad such as 255.255.255.0, not {shown(text)}")
    return text


def real(line: int, text: str) -> Real:
    """`host[->host][:port] gate|masq|ipip [weight] ["request", "receive"] [l:lower] [u:upper]`."""
    match = _REAL.match(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not address[->address][:port] gate|masq|ipip ...")
    first, last, port, rest = match.groups()
    forward, blank, rest = rest.partition(" ")
    one_of(forward, FORWARDS)
    rest = blank + rest
    weight, rest = _taken(_WEIGHT, rest, "1")
    request: str | None = None
    receive = ""
    pair = _PAIR.match(rest)
    if pair is not None:
        request, receive, rest = pair.groups()
        request = request if request.startswith("/") else f"/{request}"
        perlre.to_python(receive)
    lower, rest = _taken(_THRESHOLDS["l"], rest, "0")
    upper, rest = _taken(_THRESHOLDS["u"], rest, "0")
    if rest.strip():
        raise ValueError(
            f'{shown(rest.strip())} is not understood: after the forwarding method write weight, "request", "receive",'
            " l:number, u:number, in this order"
        )
    return Real(
        line, first, last or "", port or "0", forward,
        number(weight, 0, 65535), request, receive, number(lower, 0), number(upper, 0),
    )  # fmt: skip


def _taken(what: re.Pattern[str], text: str, default: str) -> tuple[str, str]:
    match = what.match(text)
    return (match.group(1), match.group(2)) if match else (default, text)


def fallback(line: int, text: str) -> Fallback:
    """`host[:port] [gate|masq|ipip]`."""
    match = _FALLBACK.match(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not address[:port] [gate|masq|ipip]")
    host, port, forward = match.groups()
    return Fallback(line, host, port or "", one_of(forward or "gate", FORWARDS))


def command(text: str) -> str:
    """Parse a program with its arguments; ldirectord passes it to a shell, we do not."""
    text = maybe_quoted(text)
    found = sorted(set(text) & set("|&;<>()$`\\\"'*?[~"))
    if found:
        raise ValueError(f"runs without a shell, which would interpret {found[0]}: put it into a script")
    return text


def _set(name: str, read: Callable[[str], object]) -> Reader:
    def put(section: Section, line: int, text: str) -> None:
        setattr(section, name, read(text))

    return put


def _checked(read: Callable[[str], object]) -> Reader:
    def put(section: Section, line: int, text: str) -> None:
        read(text)

    return put


def _put_real(family: int) -> Reader:
    def put(section: Section, line: int, text: str) -> None:
        assert isinstance(section, Virtual)
        if section.family != family:
            raise ValueError(f"in a section of virtual{_6(section.family)} write real{_6(section.family)}")
        section.reals.append(real(line, text))

    return put


def _put_fallback(family: int) -> Reader:
    def put(section: Section, line: int, text: str) -> None:
        if isinstance(section, Virtual) and section.family != family:
            raise ValueError(f"in a section of virtual{_6(section.family)} write fallback{_6(section.family)}")
        if isinstance(section, Config) and family == 6:
            section.fallback6 = fallback(line, text)
        else:
            section.fallback = fallback(line, text)

    return put


def _6(family: int) -> str:
    return "6" if family == 6 else ""


def _put_checktype(section: Section, line: int, text: str) -> None:
    assert isinstance(section, Virtual)
    # The man page writes a number as "checktimeoutN", which ldirectord accepts: it looks for digits.
    digits = re.match(r"(?:checktimeout)?([0-9]{1,6})$", text)
    if digits is None and text not in CHECKTYPES:
        raise ValueError(f"must be a number or one of {', '.join(CHECKTYPES)}, not {shown(text)}")
    section.checktype = COMBINED if digits else text
    section.connects = int(digits.group(1)) if digits else 0


def _put_protocol(section: Section, line: int, text: str) -> None:
    assert isinstance(section, Virtual)
    section.protocol = one_of(text, ("fwm",) if section.fwmark else ("tcp", "udp"))


def _put_netmask(section: Section, line: int, text: str) -> None:
    assert isinstance(section, Virtual)
    section.netmask = netmask(section, text)


def _put_cleanstop(section: Section, line: int, text: str) -> None:
    if not yes_no(text):
        raise ValueError(
            "no is refused: a table that no daemon maintains must not outlive its resource; to keep the pool in service while"
            " the daemon is replaced, put the resource into maintenance mode, or just start it again: the table is adopted"
        )


def _note(section: Section, line: int, text: str) -> None:
    """A value without effect."""


def _method(text: str) -> str:
    return one_of(text.upper(), ("GET", "HEAD"))


def _scheduler(text: str) -> str:
    if not re.match(r"[a-z]+$", text):
        raise ValueError(f"must have only lowercase letters, not {shown(text)}")
    return text


def _program(text: str) -> str:
    path = _absolute(maybe_quoted(text))
    if path.split() != [path]:
        raise ValueError(f"{shown(path)} must be one program without arguments: ldirectord appends its own four")
    return path


def _absolute(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{shown(text)} is not an absolute path")
    return text


_SHARED: dict[str, Reader] = {
    "checktimeout": _set("checktimeout", number),
    "negotiatetimeout": _set("negotiatetimeout", number),
    "checkinterval": _set("checkinterval", number),
    "checkcount": _set("checkcount", number),
    "failurecount": _set("failurecount", number),
    "fallback": _put_fallback(4),
    "fallback6": _put_fallback(6),
    "fallbackcommand": _set("fallbackcommand", command),
    "quiescent": _set("quiescent", yes_no),
    "cleanstop": _put_cleanstop,
    "emailalert": _note,
    "emailalertfreq": _note,
    "emailalertstatus": _note,
    "smtp": _note,
}
GLOBAL: dict[str, Reader] = {
    **_SHARED,
    "autoreload": _set("autoreload", yes_no),
    "readdquiescent": _set("readdquiescent", yes_no),
    "fork": _set("fork", yes_no),
    "supervised": _checked(yes_no),
    "logfile": _checked(quoted),
    "maintenancedir": _set("maintenancedir", _absolute),
    "callback": _note,
    "execute": _note,
    "emailalertfrom": _note,
}
IN_VIRTUAL: dict[str, Reader] = {
    **_SHARED,
    "real": _put_real(4),
    "real6": _put_real(6),
    "checktype": _put_checktype,
    "service": _set("service", lambda text: one_of(text, SERVICES)),
    "checkcommand": _set("checkcommand", _program),
    "checkport": _set("checkport", lambda text: number(text, 1, 65535)),
    "request": _set("request", uri),
    "receive": _set("receive", pattern),
    "httpmethod": _set("httpmethod", _method),
    "virtualhost": _set("virtualhost", maybe_quoted),
    "login": _set("login", quoted),
    "passwd": _set("passwd", quoted),
    "database": _set("database", quoted),
    "secret": _set("secret", quoted),
    "load": _note,
    "scheduler": _set("scheduler", _scheduler),
    "schedflags": _set("schedflags", maybe_quoted),
    "persistent": _set("persistent", number),
    "netmask": _put_netmask,
    "protocol": _put_protocol,
    "ops": _set("ops", yes_no),
    "monitorfile": _note,
    "servicename": _set("servicename", str),
    "comment": _set("comment", str),
}
