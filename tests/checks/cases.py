"""Every check type as it is tried: against which server, with which parameters, and what is wrong with a wrong answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.checks.pki import HOST
from tests.checks.servers.access import FreeRadius, Kamailio
from tests.checks.servers.clocks import Chronyd, LostChronyd
from tests.checks.servers.databases import MariaDb, Postgres
from tests.checks.servers.directory import Slapd
from tests.checks.servers.files import ProFtpd
from tests.checks.servers.mail import Dovecot, Exim
from tests.checks.servers.names import Named
from tests.checks.servers.web import ORIGIN, Nginx, Squid
from tests.checks.world import PROXY4

SERVERS = (
    Nginx, Named, Squid, Slapd, Chronyd, LostChronyd, Exim, Dovecot, MariaDb, Postgres, FreeRadius, Kamailio, ProFtpd,
)  # fmt: skip
LOGIN = {"check_user": "probe", "check_secret": "secret"}
NOT_THE_PASSWORD = {"check_secret": "mistaken"}
TLS = {"check_ca": "{ca.pem}", "check_tls_name": HOST}
STARTTLS = {"check_starttls": "true", **TLS}
SOON = {"check_timeout": "1s"}
"""For answers that the check passes over: it is still waiting in the end."""
NOBODY = {"check_request": "sip:nobody@example.com"}
NOT_THE_NAME = {"check_tls_name": "other.example.com"}


COMMAND = Path(__file__).with_name("external.sh")


def _question(name: str) -> str:
    """A DNS message in the notation of check_request: the address of a name in example.com, please."""
    return rf"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x{len(name):02x}{name}\x07example\x03com\x00\x00\x01\x00\x01"


@dataclass(frozen=True, eq=False)
class Case:
    """A row of the table in docs/checks.md.

    `params` are those of ocf:anycast:ipvs-pool, where {ca.pem} and the like are files of test certificates, and {external.sh}
    is a command. The answer becomes a wrong one when they are replaced by those in `wrong`, asked of `wrong_server` or at
    `wrong_port` if there is one. The connection is `cut` after so many bytes of the server's, which has to be in the middle of
    what the check needs. `blind` are the modes that it cannot tell from a server that works.
    """

    name: str
    server: str
    params: dict[str, str]
    wrong: dict[str, str] = field(default_factory=dict)
    wrong_server: str = ""
    wrong_port: int = 0
    port: int = 0
    udp: bool = False
    cut: int = 10
    blind: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


CASES = (
    Case("tcp", "nginx", {"check": "tcp"}, blind=("wrong answer", "hangs", "half-open", "slow")),
    Case(
        "tcp, a request",
        "nginx",
        {"check": "tcp", "check_request": r"GET /health HTTP/1.0\r\n\r\n", "check_expect": "all is well"},
        {"check_request": r"GET /missing HTTP/1.0\r\n\r\n"},
    ),
    Case("udp", "named", {"check": "udp"}, udp=True, blind=("wrong answer", "hangs", "half-open", "slow")),
    Case(
        "udp, a request",
        "named",
        {"check": "udp", "check_request": _question("www"), "check_expect": r"re:^\x12\x34\x85\x00"},
        {"check_request": _question("none")},
        udp=True,
        cut=3,
    ),
    Case("ping", "nginx", {"check": "ping"}, blind=("wrong answer", "refused", "hangs", "half-open", "slow")),
    Case(
        "http",
        "nginx",
        {"check": "http", "check_path": "/health", "check_expect": "all is well"},
        wrong={"check_path": "/missing"},
    ),
    Case(
        "https",
        "nginx",
        {"check": "https", "check_path": "/health", "check_expect": "all is well", **TLS},
        NOT_THE_NAME,
        port=443,
        cut=400,
    ),
    Case(
        "https, a client certificate",
        "nginx",
        {"check": "https", **TLS, "check_cert": "{client.pem}", "check_key": "{client.key}"},
        {"check_cert": "", "check_key": ""},
        port=444,
        cut=400,
    ),
    Case(
        "http_proxy",
        "squid",
        {"check": "http_proxy", "check_request": f"http://{ORIGIN}/health", "check_expect": "all is well"},
        {"check_request": f"http://{ORIGIN}/missing"},
    ),
    Case(
        "http_proxy, a tunnel",
        "squid",
        {"check": "http_proxy", "check_request": f"{ORIGIN}:80"},
        {"check_request": f"{ORIGIN}:443"},
    ),
    Case("dns", "named", {"check": "dns", "check_name": "www.example.com"}, {"check_name": "none.example.com"}, udp=True, cut=40),
    Case(
        "dns, TCP, an expected address",
        "named",
        {"check": "dns", "check_name": "www.example.com", "check_transport": "tcp", "check_expect": "192.0.2.80"},
        {"check_expect": "192.0.2.81"},
    ),
    Case(
        "dns, a name that must not be there",
        "named",
        {"check": "dns", "check_name": "none.example.com", "check_rcode": "NXDOMAIN"},
        {"check_name": "www.example.com"},
        udp=True,
        cut=40,
    ),
    Case(
        "ldap",
        "slapd",
        {
            "check": "ldap",
            "check_request": "dc=example,dc=com??sub?(cn=probe)",
            "check_expect": "description: all is well",
        },
        {"check_request": "dc=example,dc=com??sub?(cn=nobody)"},
    ),
    Case(
        "ldap, a user, StartTLS",
        "slapd",
        {"check": "ldap", **STARTTLS, **LOGIN, "check_user": "cn=probe,dc=example,dc=com"},
        NOT_THE_PASSWORD,
        cut=400,
    ),
    Case("ldaps", "slapd", {"check": "ldaps", **TLS}, NOT_THE_NAME, port=636, cut=400),
    Case("ntp", "chronyd", {"check": "ntp", "check_max_stratum": "3"}, wrong_server="chronyd-lost", udp=True, cut=40),
    Case("smtp", "exim", {"check": "smtp"}, wrong_port=26),
    Case("smtp, a user, STARTTLS", "exim", {"check": "smtp", **STARTTLS, **LOGIN}, NOT_THE_PASSWORD, cut=200),
    Case("smtps", "exim", {"check": "smtps", **TLS}, NOT_THE_NAME, port=465, cut=400),
    Case("imap", "dovecot", {"check": "imap"}, wrong_port=110, port=143),
    Case("imap, a user, STARTTLS", "dovecot", {"check": "imap", **STARTTLS, **LOGIN}, NOT_THE_PASSWORD, port=143, cut=200),
    Case("imaps", "dovecot", {"check": "imaps", **TLS}, NOT_THE_NAME, port=993, cut=400),
    Case("pop3", "dovecot", {"check": "pop3"}, wrong_port=143, port=110),
    Case("pop3, a user, STLS", "dovecot", {"check": "pop3", **STARTTLS, **LOGIN}, NOT_THE_PASSWORD, port=110, cut=200),
    Case("pop3s", "dovecot", {"check": "pop3s", **TLS}, NOT_THE_NAME, port=995, cut=400),
    Case("ftp", "proftpd", {"check": "ftp"}, {"check_path": "/missing"}),
    Case("mysql", "mariadb", {"check": "mysql"}, {"check_bind": PROXY4}),
    Case("mysql, a user", "mariadb", {"check": "mysql", **LOGIN}, NOT_THE_PASSWORD),
    Case(
        "mysql, a user, TLS, a query",
        "mariadb",
        {"check": "mysql", **STARTTLS, **LOGIN, "check_request": "SELECT 40 + 2", "check_expect": "re:^42$"},
        {"check_request": "SELECT 1"},
        cut=400,
    ),
    Case("postgresql", "postgres", {"check": "postgresql"}, wrong_server="dovecot", wrong_port=143),
    Case(
        "postgresql, a user",
        "postgres",
        {"check": "postgresql", **LOGIN, "check_database": "postgres"},
        NOT_THE_PASSWORD,
        cut=110,
    ),
    Case(
        "postgresql, a user, TLS, a query",
        "postgres",
        {
            "check": "postgresql",
            **STARTTLS,
            **LOGIN,
            "check_database": "postgres",
            "check_request": "SELECT 40 + 2",
            "check_expect": "re:^42$",
        },
        {"check_request": "SELECT 1"},
        cut=400,
    ),
    Case("radius", "freeradius", {"check": "radius", "check_secret": "testing123"}, {**NOT_THE_PASSWORD, **SOON}, udp=True),
    Case(
        "radius, a user",
        "freeradius",
        {"check": "radius", "check_secret": "testing123", "check_user": "probe", "check_password": "secret"},
        {"check_password": "mistaken"},
        udp=True,
    ),
    Case("sip", "kamailio", {"check": "sip"}, NOBODY, udp=True, cut=100),
    Case("sip, TCP", "kamailio", {"check": "sip", "check_transport": "tcp"}, NOBODY, cut=100),
    Case("sips", "kamailio", {"check": "sips", **TLS}, NOT_THE_NAME, port=5061, cut=400),
    Case("external", "nginx", {"check": "external", "check_command": "{external.sh}"}, wrong_server="dovecot", wrong_port=110),
)
