"""Translates ldirectord's checks of a real server to our own checks."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from ocfpy.checks.registry import OPTIONS, TYPES
from ocfpy.checks.settings import CheckSettings
from ocfpy.ldirectord.model import (
    COMBINED,
    CONNECT,
    DEFAULT_CHECKINTERVAL_S,
    DEFAULT_CHECKTIMEOUT_S,
    DEFAULT_NEGOTIATETIMEOUT_S,
    EXTERNAL,
    EXTERNAL_PERL,
    NEGOTIATE,
    OFF,
    ON,
    PING,
    Config,
    Virtual,
)
from ocfpy.ldirectord.perlre import to_python

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ipvs.model import RealServer

PORTS = {
    "ftp": 21, "smtp": 25, "dns": 53, "http": 80, "pop": 110, "nntp": 119, "imap": 143, "ldap": 389, "https": 443,
    "submission": 587, "ldaps": 636, "imaps": 993, "pops": 995, "oracle": 1521, "radius": 1812, "http_proxy": 3128,
    "mysql": 3306, "sip": 5060, "pgsql": 5432,
}  # fmt: skip
"""The default port of each service; also used to guess the service from the port."""

PERL = "/usr/bin/perl"
_TYPES = {"pop": "pop3", "pops": "pop3s", "pgsql": "postgresql", "submission": "smtp", "simpletcp": "tcp", "nntp": "tcp"}
"""Services whose check has another name here."""
_ALIKE = {
    "https": "http", "ldaps": "ldap", "mysql": "sql", "pgsql": "sql", "imap": "login", "imaps": "login", "pop": "login",
    "pops": "login",
}  # fmt: skip
"""Services whose checks have the same options."""
_SAFE = "/?&=;:@+$,!~*'()%#[]"
_FINE = "200-299"
_FINE_OR_ELSEWHERE = "200-399"
"""ldirectord follows any redirect, even to the virtual service itself; here the redirect itself is a success."""


def service_of(port: int) -> str:
    """ldirectord's negotiate check for a section without a service."""
    return next((service for service, usual in PORTS.items() if usual == port), "none")


class Checker:
    """Builds the checks of one virtual section; `node` is the name of this host."""

    def __init__(self, config: Config, virtual: Virtual, service: str, node: str) -> None:
        self.node = node
        self.config = config
        self.virtual = virtual
        self.service = service
        v, c = virtual, config
        self.checktimeout = (
            v.checktimeout or v.negotiatetimeout or c.checktimeout or c.negotiatetimeout or DEFAULT_CHECKTIMEOUT_S
        )
        self.negotiatetimeout = (
            v.negotiatetimeout or v.checktimeout or c.negotiatetimeout or c.checktimeout or DEFAULT_NEGOTIATETIMEOUT_S
        )
        own_interval = v.checkinterval if c.fork else None
        self.interval = own_interval or c.checkinterval or DEFAULT_CHECKINTERVAL_S
        self.fall = v.failurecount or c.failurecount or 1

    def check(self, real: RealServer, port: int, request: str | None, receive: str) -> CheckSettings:
        """Return the check of a server whose traffic goes to real.port, with `port` as written in the file.

        `request` and `receive` are the server's own, if it has any. Raises ValueError with a sentence.
        """
        virtual = self.virtual
        kind = virtual.checktype
        if kind in (ON, OFF) or (kind in (NEGOTIATE, COMBINED) and self.service == "none"):
            return self._settings(OFF if kind == OFF else ON, 0, self.checktimeout)
        if kind == PING or (kind == CONNECT and virtual.protocol == "udp"):
            count = virtual.checkcount or self.config.checkcount or 1
            return self._settings("ping", 0, self.checktimeout * count)
        if kind in (EXTERNAL, EXTERNAL_PERL):
            command = f"{PERL} {virtual.checkcommand}" if kind == EXTERNAL_PERL else virtual.checkcommand
            return self._settings("external", port if port != real.port else 0, self.checktimeout, command=command)
        port = virtual.checkport or port or PORTS.get(self.service, 0)
        if kind == CONNECT:
            return self._settings("tcp", self._port(real, port), self.checktimeout)
        options = self._options(real, port, virtual.request if request is None else request, receive)
        timeout = self.negotiatetimeout
        if self.service in ("ldap", "ldaps", "radius"):
            timeout = min(timeout, self.checktimeout)  # ldirectord's alarm
        name = "udp" if self.service == "simpletcp" and virtual.protocol == "udp" else _TYPES.get(self.service, self.service)
        settings = self._settings(name, self._port(real, port), timeout, **options)
        # UDP has no connection to try.
        return settings.replace(connects=virtual.connects) if kind == COMBINED and virtual.protocol != "udp" else settings

    def _port(self, real: RealServer, port: int) -> int:
        if not port:
            raise ValueError("no port to check: set checkport")
        return 0 if port == real.port else port

    def _settings(self, kind: str, port: int, timeout: int, **options: str) -> CheckSettings:
        if kind not in TYPES:
            raise ValueError(f"there is no check for {kind}")
        return CheckSettings(
            type=kind,
            port=port,
            interval=float(self.interval),
            timeout=float(timeout),
            rise=1,
            fall=self.fall,
            options=[(name, text) for name, text in options.items() if text != OPTIONS[name]],
        )

    def _options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        """Return the options of our check."""
        make = getattr(self, f"_{_ALIKE.get(self.service, self.service)}_options", None)
        if make is None:
            return {}
        options: dict[str, str] = make(real, port, request, receive)
        return options

    def _http_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        options = {
            "host": self.virtual.virtualhost,
            "path": self._path(real, port, request),
            "method": self.virtual.httpmethod,
            "status": _FINE if receive else _FINE_OR_ELSEWHERE,
            "expect": _expect(receive),
        }
        return {**options, "tls_verify": "false"} if self.service == "https" else options

    def _http_proxy_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        if not request.startswith("/http://"):
            raise ValueError("service=http_proxy needs a request that begins with http://")
        return {"request": request[1:], "method": self.virtual.httpmethod, "status": _FINE, "expect": _expect(receive)}

    def _dns_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        asked = request[1:]
        if not asked or not receive:
            raise ValueError("service=dns needs request and receive: without them ldirectord accepts no answer")
        reverse = reverse_name(asked)
        return {
            "name": reverse or asked,
            "rdtype": "PTR" if reverse else "A",
            "transport": "tcp" if self.virtual.protocol == "tcp" else "udp",
            "expect": _expect(receive),
        }

    def _simpletcp_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        # ldirectord searches line by line; without a receive any line will do.
        expect = _expect(receive, by_line=True) or "re:(?s:.)"
        # Of all backslash escapes ldirectord knows only \n.
        return {"request": _literal(request[1:]).replace("\\\\n", "\\n"), "expect": expect}

    def _nntp_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        return {"expect": _expect("^2")}

    def _ftp_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        if receive and request == "/":
            raise ValueError("service=ftp with a receive needs a request: the file to search")
        user, secret = self.virtual.login or "anonymous", self._password() or f"ldirectord@{self.node}"
        return {"path": request, "expect": _expect(receive), "user": user, "secret": secret}

    def _ldap_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        # The entry itself, without its attributes: only its name is searched.
        search = quote(request[1:], safe="=,+ \"<>;#/\\()") + "?1.1"
        options = {"request": search, "expect": in_dn(receive)}
        if self.virtual.login and self.virtual.passwd:
            options.update(user=self.virtual.login, secret=self._password())
        # Net::LDAP verifies nothing by itself; neither do ldirectord's imaps and pops.
        return {**options, "tls_verify": "false"} if self.service == "ldaps" else options

    def _sql_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        if not self.virtual.login or not request[1:]:
            raise ValueError(f"service={self.service} needs login and request")
        return {
            "user": self.virtual.login,
            "secret": self._password(),
            "database": self.virtual.database,
            "request": _literal(request[1:]),
        }

    def _radius_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        if not self.virtual.login or not self.virtual.passwd or not self.virtual.secret:
            raise ValueError("service=radius needs login, passwd and secret")
        return {"user": self.virtual.login, "password": self._password(), "secret": self._not_a_path("secret")}

    def _login_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        return {"user": self.virtual.login, "secret": self._password()} if self.virtual.login else {}

    def _sip_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        user = self.virtual.login or f"ldirectord@{self.node}"
        return {"request": f"sip:{user}", "status": "200", "transport": "udp" if self.virtual.protocol == "udp" else "tcp"}

    def _oracle_options(self, real: RealServer, port: int, request: str, receive: str) -> dict[str, str]:
        raise ValueError("service=oracle is refused: use checktype=external with a program that asks the database")

    def _password(self) -> str:
        return self._not_a_path("passwd")

    def _not_a_path(self, directive: str) -> str:
        """Refuse a password that begins with /: it would be read as the name of a file."""
        text: str = getattr(self.virtual, directive)
        if text.startswith("/"):
            raise ValueError(f"{directive}: a value that begins with / is refused")
        return text

    def _path(self, real: RealServer, port: int, request: str) -> str:
        """Return the path of a request; a URL has to lead to the server itself."""
        if request.startswith(f"/{self.service}://"):
            parts = urlsplit(request[1:])
            try:
                where = (parts.hostname or "").strip("[]"), parts.port or PORTS[self.service]
            except ValueError:
                where = "", 0
            if where != (str(real.address), port):
                raise ValueError(
                    f"a request for another server than {real.address}, port {port}, is refused: it would not test"
                    " this one"
                )
            request = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return quote(request, safe=_SAFE)


def reverse_name(text: str) -> str:
    """Return the name of the PTR records of an address, or empty if the text is no address."""
    from ocfpy.ocf.addresses import parse_address

    try:
        packed = parse_address(text).packed if "/" not in text else b""
    except ValueError:
        return ""
    if len(packed) == 4:
        return ".".join(map(str, reversed(packed))) + ".in-addr.arpa"
    return ".".join(reversed(packed.hex())) + ".ip6.arpa" if packed else ""


def _literal(text: str) -> str:
    """Return a request for our checks, with each backslash escaped."""
    return text.replace("\\", "\\\\")


def _expect(receive: str, by_line: bool = False) -> str:
    """Return what our checks expect for a receive string, which may be empty."""
    return f"re:{to_python(receive, by_line)}" if receive else ""


def in_dn(receive: str) -> str:
    """Return what an LDAP check expects for an expression about the entry's name: its line is "dn: " and the name.

    Raises ValueError.
    """
    begins = receive.startswith("^")
    inner = receive[1:] if begins else receive
    if "^" in inner.replace("[^", "") or (begins and "|" in inner):
        raise ValueError("in an LDAP check ^ can only be at the beginning of receive, and without |")
    return _expect(f"^dn: {'' if begins else '.*'}(?:{inner})") if receive else ""
