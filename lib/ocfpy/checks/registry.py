"""The check types, and the options of each.

The one source of the choices of `check`, of its documentation and validation, and of the creation of a check. Part of
every monitor, so it imports next to nothing.
"""

from __future__ import annotations

from ocfpy.ocf.values import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OPTIONS = {
    "bind": "",
    "ca": "",
    "cd": "false",
    "cert": "",
    "command": "",
    "command_user": "",
    "database": "",
    "dynamic": "false",
    "expect": "",
    "headers": "",
    "host": "",
    "key": "",
    "max_distance": "3s",
    "max_stratum": "15",
    "method": "GET",
    "name": "",
    "password": "",
    "path": "/",
    "rcode": "NOERROR",
    "rdtype": "A",
    "request": "",
    "secret": "",
    "starttls": "false",
    "status": "200-299",
    "tls_name": "",
    "tls_verify": "true",
    "transport": "udp",
    "user": "",
    "via": "real",
}
"""The options, parameters check_NAME, by NAME with their defaults."""

SECRETS = ("password", "secret")
"""Options that are never shown; a value that begins with / is the path of the file that has it."""
FROM_FILES = ("headers", "request")
"""Options that may contain credentials, and are never shown either; after @ comes the path of a file."""
FILE_MARK = "@"
TLS_FILES = ("ca", "cert", "key")
TLS = ("tls_verify", "tls_name", *TLS_FILES)
H11 = ("h11", "python3-h11")
DNSPYTHON = ("dns", "python3-dnspython")


class CheckType(Record):
    """A type of check.

    `module` and `class_name` are its code, empty for types that check nothing. `port` is the default port of a server without
    one in the configuration; 0: the configuration has to name one; None: the check uses no port. `tls`: it speaks TLS
    from the first byte. `needs` is the Python module that it needs and the package that has it. `options` are those
    of OPTIONS that apply to it, `required` those that it cannot do without, `together` pairs of which the
    first has no meaning without the second. `per_service`: it checks the virtual service too, so that a server has one
    check for each of its services, and uses its port as it is.
    """

    __slots__ = (
        "class_name",
        "module",
        "name",
        "needs",
        "options",
        "per_service",
        "port",
        "required",
        "summary",
        "tls",
        "together",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        summary: str,
        module: str = "",
        class_name: str = "",
        port: int | None = 0,
        options: tuple[str, ...] = (),
        required: tuple[str, ...] = (),
        needs: tuple[str, str] | None = None,
        tls: bool = False,
        per_service: bool = False,
        together: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.name = name
        self.summary = summary
        self.module = module
        self.class_name = class_name
        self.port = port
        self.options = options
        self.required = required
        self.needs = needs
        self.tls = tls
        self.per_service = per_service
        self.together = together

    def secure(self, name: str, port: int) -> CheckType:
        """Return the same type over TLS from the first byte, under another name and on another port."""
        options = tuple(option for option in self.options if option != "starttls" and option not in TLS)
        summary = f"{self.name} over TLS"
        return self.replace(name=name, summary=summary, port=port, options=options + TLS, tls=True)


_HTTP = CheckType(
    "http",
    "a request",
    "http",
    "HttpCheck",
    80,
    options=("bind", "host", "path", "method", "status", "headers", "request", "expect", "user", "secret"),
    needs=H11,
)

# A login without a password would be another one than intended.
_LOGIN = (("user", "secret"), ("secret", "user"))
# A database may identify a user by address or certificate.
_SESSION = tuple((option, "user") for option in ("secret", "database", "request", "expect"))
_SQL = ("bind", "starttls", *TLS, "user", "secret", "database", "request", "expect")

_LDAP = CheckType(
    "ldap",
    "a bind and a search",
    "ldap",
    "LdapCheck",
    389,
    options=("bind", "starttls", *TLS, "user", "secret", "request", "expect"),
    together=_LOGIN,
)
_SMTP = CheckType(
    "smtp",
    "EHLO, and a login if there is a user; no mail is sent",
    "smtp",
    "SmtpCheck",
    25,
    options=("bind", "starttls", *TLS, "user", "secret"),
    together=_LOGIN,
)
_IMAP = _SMTP.replace(
    name="imap", summary="CAPABILITY, and a login if there is a user", module="imap", class_name="ImapCheck", port=143
)
_POP3 = _SMTP.replace(
    name="pop3", summary="CAPA, and a login if there is a user", module="pop3", class_name="Pop3Check", port=110
)
_SIP = CheckType("sip", "OPTIONS", "sip", "SipCheck", 5060, options=("bind", "transport", "request", "status"))

_ALL = (
    CheckType("off", "never alive", port=None),
    CheckType("on", "always alive", port=None),
    CheckType("tcp", "a connection", "tcp", "TcpCheck", options=("bind", "request", "expect")),
    CheckType("udp", "a datagram", "udp", "UdpCheck", options=("bind", "request", "expect")),
    CheckType("ping", "an ICMP echo", "ping", "PingCheck", None, options=("bind",)),
    _HTTP,
    _HTTP.secure("https", 443),
    CheckType(
        "http_proxy",
        "a URL, or a tunnel, through it",
        "http_proxy",
        "HttpProxyCheck",
        3128,
        options=("bind", "request", "method", "host", "status", "headers", "expect", "user", "secret"),
        required=("request",),
        needs=H11,
    ),
    CheckType(
        "dns",
        "a question",
        "dns",
        "DnsCheck",
        53,
        options=("bind", "name", "rdtype", "rcode", "transport", "cd", "expect"),
        required=("name",),
        needs=DNSPYTHON,
    ),
    _LDAP,
    _LDAP.secure("ldaps", 636),
    CheckType(
        "ntp",
        "a synchronized clock",
        "ntp",
        "NtpCheck",
        123,
        options=("bind", "max_stratum", "max_distance"),
    ),
    _SMTP,
    _SMTP.secure("smtps", 465),
    _IMAP,
    _IMAP.secure("imaps", 993),
    _POP3,
    _POP3.secure("pop3s", 995),
    CheckType(
        "ftp",
        "a login, anonymous without a user, and a file if there is a path",
        "ftp",
        "FtpCheck",
        21,
        options=("bind", "user", "secret", "path", "expect"),
    ),
    CheckType(
        "mysql",
        "the greeting of MySQL or MariaDB; a login and a query if there is a user",
        "mysql",
        "MysqlCheck",
        3306,
        options=_SQL,
        together=_SESSION,
    ),
    CheckType(
        "postgresql",
        "accepts connections; a login and a query if there is a user",
        "postgresql",
        "PostgresqlCheck",
        5432,
        options=_SQL,
        together=_SESSION,
    ),
    CheckType(
        "radius",
        "Access-Request if there is a user, Status-Server otherwise",
        "radius",
        "RadiusCheck",
        1812,
        options=("bind", "secret", "user", "password"),
        required=("secret",),
        together=(("user", "password"), ("password", "user")),
    ),
    _SIP,
    _SIP.replace(options=tuple(option for option in _SIP.options if option != "transport")).secure("sips", 5061),
    CheckType(
        "external",
        "a command of yours",
        "external",
        "ExternalCheck",
        options=("command", "command_user", "dynamic"),
        required=("command",),
        per_service=True,
    ),
)
# Every check that opens its own connection can go to the virtual service; IPVS does not forward a ping.
_BY_VIP = tuple(
    kind.replace(options=(*kind.options, "via")) if "bind" in kind.options and kind.port is not None else kind
    for kind in _ALL
)
TYPES = {kind.name: kind for kind in _BY_VIP}
NAMES = tuple(TYPES)


def kind_of(check: str) -> CheckType:
    """Return the type of this name. Raises ValueError."""
    if check not in TYPES:
        raise ValueError(f"there is no check {check!r}")
    return TYPES[check]


def users_of(option: str) -> tuple[str, ...]:
    """The types that an option applies to."""
    return tuple(kind.name for kind in TYPES.values() if option in kind.options)


def problems(check: str, given: Iterable[str]) -> list[str]:
    """Return the faults of a check of the type `check` with the options `given`, one sentence each."""
    kind = kind_of(check)
    if not kind.module:
        return []  # options wait for the check to be switched on again
    found = [f"check={check} needs check_{name}" for name in kind.required if name not in given]
    found += [
        f"check_{name} does not apply to check={check}, only to {', '.join(users_of(name)) or 'none'}"
        for name in given
        if name not in kind.options
    ]
    found += [
        f"check_{name} needs check_{other}, in check={check}"
        for name, other in kind.together
        if name in given and other not in given
    ]
    if "key" in given and "cert" not in given:
        found.append("check_key needs check_cert, the certificate of this key")
    return found
