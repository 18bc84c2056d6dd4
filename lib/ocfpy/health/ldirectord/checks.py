"""How ldirectord checks a real server, in the words of our own checks."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from ocfpy.health.checks.registry import OPTIONS, TYPES
from ocfpy.health.ldirectord.model import (
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
from ocfpy.health.ldirectord.perlre import to_python
from ocfpy.health.spec import CheckSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ipvs.model import RealServer

PORTS = {
    "ftp": 21, "smtp": 25, "dns": 53, "http": 80, "pop": 110, "nntp": 119, "imap": 143, "ldap": 389, "https": 443,
    "submission": 587, "ldaps": 636, "imaps": 993, "pops": 995, "oracle": 1521, "radius": 1812, "http_proxy": 3128,
    "mysql": 3306, "sip": 5060, "pgsql": 5432,
}  # fmt: skip
"""The port of each service, and with it the service of each port."""

PERL = "/usr/bin/perl"
_TYPES = {"pop": "pop3", "pops": "pop3s", "pgsql": "postgresql", "submission": "smtp", "simpletcp": "tcp"}
"""Where our check has another name."""
_SAFE = "/?&=;:@+$,!~*'()%#[]"
_FINE = "200-299"
_FINE_OR_ELSEWHERE = "200-399"
"""ldirectord follows a redirect wherever it leads, also to the virtual service itself; that a server sends one is enough."""


def service_of(port: int) -> str:
    """What ldirectord checks by negotiation when no service is named."""
    return next((service for service, usual in PORTS.items() if usual == port), "none")


class Checker:
    """Makes the checks of one virtual section."""

    def __init__(self, config: Config, virtual: Virtual, service: str) -> None:
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
        """The check of a server whose traffic goes to real.port, and which the file gives `port`.

        `request` and `receive` are its own, if it has any. Raises ValueError with a sentence.
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
        settings = self._settings(_TYPES.get(self.service, self.service), self._port(real, port), timeout, **options)
        return settings.replace(connects=virtual.connects) if kind == COMBINED else settings

    def _port(self, real: RealServer, port: int) -> int:
        if not port:
            raise ValueError("which port is to be checked? set checkport")
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
        virtual = self.virtual
        expect = f"re:{to_python(receive)}" if receive else ""
        bare = request[1:]
        if self.service in ("http", "https"):
            options = {
                "host": virtual.virtualhost,
                "path": self._path(real, port, request),
                "method": virtual.httpmethod,
                "status": _FINE if expect else _FINE_OR_ELSEWHERE,
                "expect": expect,
            }
            return {**options, "tls_verify": "false"} if self.service == "https" else options
        if self.service == "http_proxy":
            if not bare.startswith("http://"):
                raise ValueError("service=http_proxy needs a request that begins with http://")
            return {"request": bare, "method": virtual.httpmethod, "status": _FINE, "expect": expect}
        if self.service == "dns":
            if not bare or not receive:
                raise ValueError("service=dns needs request and receive: without them ldirectord takes no answer for right")
            name = reverse_name(bare)
            return {
                "name": name or bare, "rdtype": "PTR" if name else "A", "expect": expect,
                "transport": "tcp" if virtual.protocol == "tcp" else "udp",
            }  # fmt: skip
        if self.service == "simpletcp":
            return {"request": bare.replace("\\", "\\\\").replace("\\\\n", "\\n"), "expect": expect or "re:(?s:.)"}
        if self.service == "ftp":
            return {"path": request, "expect": expect, "user": virtual.login, "secret": virtual.passwd}
        if self.service in ("ldap", "ldaps"):
            return {"name": bare, "expect": expect, "user": virtual.login, "secret": virtual.passwd}
        if self.service in ("mysql", "pgsql"):
            if not virtual.login or not bare:
                raise ValueError(f"service={self.service} needs login and request")
            return {"user": virtual.login, "secret": virtual.passwd, "database": virtual.database, "request": bare}
        if self.service == "radius":
            return {"user": virtual.login, "password": virtual.passwd, "secret": virtual.secret}
        if self.service in ("imap", "imaps", "pop", "pops"):
            return {"user": virtual.login, "secret": virtual.passwd} if virtual.login else {}
        if self.service == "sip":
            return {"user": virtual.login, "transport": "udp" if virtual.protocol == "udp" else "tcp"}
        if self.service == "oracle":
            raise ValueError("service=oracle is refused: use checktype=external with a program that asks the database")
        return {}

    def _path(self, real: RealServer, port: int, request: str) -> str:
        """The path of a request; one with a scheme has to lead to the server itself."""
        if request.startswith(f"/{self.service}://"):
            parts = urlsplit(request[1:])
            try:
                where = (parts.hostname or "").strip("[]"), parts.port or PORTS[self.service]
            except ValueError:
                where = "", 0
            if where != (str(real.address), port):
                raise ValueError(
                    f"a request for another server than {real.address}, port {port}, is refused: it would say nothing"
                    " about this one"
                )
            request = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return quote(request, safe=_SAFE)


def reverse_name(text: str) -> str:
    """The name under which the PTR records of an address are, or nothing if the text is no address."""
    from ocfpy.ocf.addresses import parse_address

    try:
        packed = parse_address(text).packed if "/" not in text else b""
    except ValueError:
        return ""
    if len(packed) == 4:
        return ".".join(map(str, reversed(packed))) + ".in-addr.arpa"
    return ".".join(reversed(packed.hex())) + ".ip6.arpa" if packed else ""
