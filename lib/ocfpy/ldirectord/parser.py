"""Parses an ldirectord.cf into a Config, by the lexical rules of ldirectord's own read_config.

1. A virtual section begins with `virtual=` or `virtual6=` in the first column and consists of the lines after it that are
   indented by four blanks or a tab. Any other line ends it, also an empty one; a comment line does not.
2. In a section a # begins a comment anywhere, also inside quotes. Before it, only a whole line is a comment.
3. The last occurrence of a repeated directive counts.
4. The text of a comment is ignored, and may have any encoding. Elsewhere a non-ASCII blank, which ldirectord does not
   treat as a blank, is an error.
5. Values that ldirectord reads in part, dropping the rest ("3s" is 3, "500ms" is 500 seconds), are an error here, unless
   the rest is a comment.
"""

from __future__ import annotations

import re
import unicodedata

from ocfpy.ipvs.model import MAX_FWMARK
from ocfpy.ldirectord.directives import GLOBAL, IN_VIRTUAL, NOTED, REFUSED
from ocfpy.ldirectord.model import Config, Note, Section, Virtual
from ocfpy.ocf.addresses import shown

_DIRECTIVE = re.compile(r"([A-Za-z0-9_-]+)\s*=\s*(.*)", re.ASCII)
_INDENTED = re.compile(r" {4,}(.+)")
_PORT = r":([0-9A-Za-z_-]+)"
_VIRTUAL = (
    re.compile(r"(?P<host>[0-9A-Za-z._+-]+):(?P<port>[0-9A-Za-z_-]+)\s*(?:#.*)?$", re.ASCII),
    re.compile(r"(?P<host>\[[0-9A-Fa-f:]+\]):(?P<port>[0-9A-Za-z_-]+)\s*(?:#.*)?$", re.ASCII),
    re.compile(r"(?P<fwmark>[0-9]+)\s*(?:#.*)?$", re.ASCII),
)

_ASCII_BLANKS = " \t\r\f\v"
"""Characters without a meaning at the end of a line."""


class Parsed:
    """A Config, the faults of the file, and warnings for the operator."""

    def __init__(self) -> None:
        self.config = Config()
        self.faults: list[Note] = []
        self.warnings: list[Note] = []

    def fault(self, line: int, text: str) -> None:
        """Record a fault of a line."""
        self.faults.append(Note(line, text))

    def warn(self, line: int, text: str) -> None:
        """Record a warning."""
        self.warnings.append(Note(line, text))


def parse(text: str) -> Parsed:
    """Parse a whole file. Every fault is found, with its line; the Config contains everything else."""
    parsed = Parsed()
    section: Virtual | None = None
    for number, line in enumerate(text.split("\n"), 1):
        code, sign, comment = line.partition("#")
        if sign and not code.strip():
            continue
        fault = _unreadable(code)
        if fault:
            parsed.fault(number, fault)
            # The rest of the line is still read, each line with its own faults.
            if code.startswith("virtual"):
                section = Virtual(line=number)
            elif not code[:1].isspace():
                section = None
            continue
        line = code + sign + "".join(c if c.isprintable() or c == "\t" else "?" for c in comment)
        if section is not None:
            inside = _INDENTED.match(code.replace("\t", "    "))
            if inside is not None and inside.group(1).strip():
                _directive(parsed, number, section, inside.group(1))
                continue
            section = None
        bare = line.strip()
        if not bare:
            continue
        if line != line.lstrip():
            _stray(parsed, number, bare)
            continue
        section = _directive(parsed, number, parsed.config, line)
    return parsed


def _unreadable(code: str) -> str:
    """Return the fault of the first character that no directive can contain, or empty."""
    for c in code.rstrip(_ASCII_BLANKS):
        if c == "\ufffd":
            return "a byte that is not UTF-8: only comments may have another encoding"
        if c.isprintable() or c == "\t":
            continue
        name = unicodedata.name(c, "control character").lower()
        if c.isspace() and not c.isascii():
            return f"a non-ASCII blank, U+{ord(c):04X} ({name}): replace it by an ordinary one"
        return f"an invisible character, U+{ord(c):04X} ({name}): remove it"
    return ""


def _stray(parsed: Parsed, number: int, text: str) -> None:
    name = shown(text.partition("=")[0].rstrip())
    parsed.fault(
        number,
        f"{name} is indented but in no virtual section: its lines are indented by at least 4 blanks or a tab, and"
        " an empty line ends it",
    )


def _directive(parsed: Parsed, number: int, section: Section, text: str) -> Virtual | None:
    """Store one directive in the section; return the section that it opens."""
    text = text.rstrip()
    match = _DIRECTIVE.match(text)
    inside = isinstance(section, Virtual)
    if match is None:
        if text == "supervised" and not inside:  # an old spelling
            parsed.warn(number, f"supervised: {NOTED['supervised']}")
        else:
            parsed.fault(number, f"{shown(text)} is not of the form directive = value")
        return None
    name, value = match.groups()
    if name in ("virtual", "virtual6") and not inside:
        return _open(parsed, number, name, value)
    readers = IN_VIRTUAL if inside else GLOBAL
    if name not in readers:
        parsed.fault(number, _unknown(name, inside))
    elif name in REFUSED:
        parsed.fault(number, f"{name} {REFUSED[name]}")
    else:
        try:
            readers[name](section, number, value)
        except ValueError as error:
            parsed.fault(number, f"{name}: {error}")
        else:
            section.lines[name] = number
            if name in NOTED:
                parsed.warn(number, f"{name}: {NOTED[name]}")
    return None


def _unknown(name: str, inside: bool) -> str:
    if inside and name in GLOBAL:
        return f"{name} belongs before the virtual sections"
    if inside and name in ("virtual", "virtual6"):
        return f"{name} has to begin in the first column"
    if not inside and name in IN_VIRTUAL:
        return f"{name} belongs into a virtual section: indent it by 4 blanks or a tab"
    if name in ("timeout", "connecttimeout"):
        return f"{name} is no longer a directive: use checktimeout and negotiatetimeout"
    return f"there is no directive {shown(name)}"


def _open(parsed: Parsed, number: int, name: str, value: str) -> Virtual:
    """Open a section, which is read to its end even if its address is not understood."""
    section = Virtual(line=number, family=6 if name == "virtual6" else 4)
    parsed.config.virtuals.append(section)
    matches = (pattern.match(value) for pattern in _VIRTUAL)
    found = next((match.groupdict() for match in matches if match), {})
    mark = found.get("fwmark", "")
    section.host, section.port = found.get("host", ""), found.get("port", "0")
    section.protocol = "udp" if section.port in ("53", "domain") else "tcp"
    if section.host.startswith("[") and section.family == 4:
        parsed.fault(number, "an IPv6 address needs virtual6=, with real6= and fallback6=")
        section.host = ""
    elif mark:
        if len(mark) > 10 or not 0 < int(mark) <= MAX_FWMARK:
            parsed.fault(number, f"{name}: a firewall mark is a number from 1 to {MAX_FWMARK}, not {shown(mark)}")
        else:
            section.fwmark = int(mark)
        section.protocol, section.service = "fwm", "none"
    elif not section.host:
        parsed.fault(number, f"{name}: {shown(value)} is neither address:port nor a firewall mark")
    return section
