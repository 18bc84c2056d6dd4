"""Single parameters of the checks, against their real servers."""

from __future__ import annotations

import pytest

from tests.checks.cases import LOGIN, STARTTLS, TLS
from tests.checks.observe import attempt
from tests.checks.world import World

KOENIG = "check_request", "dc=example,dc=com??sub?(cn=k\u00f6nig)"
SEARCH = "check_request", "dc=example,dc=com?sn,description?one?(&(objectClass=person)(!(sn=probe)))"


@pytest.mark.parametrize(
    ("server", "port", "params", "reason"),
    [
        ("chronyd", 123, {"check": "ntp", "check_max_stratum": "2"}, "stratum 3, more than 2 (check_max_stratum)"),
        ("slapd", 389, {"check": "ldap"}, ""),
        ("slapd", 389, dict([("check", "ldap"), KOENIG, ("check_expect", "sn: k\u00f6nig")]), ""),
        ("slapd", 389, dict([("check", "ldap"), SEARCH, ("check_expect", "sn: k\u00f6nig")]), ""),
        ("slapd", 389, dict([("check", "ldap"), SEARCH, ("check_expect", "cn:")]), "no 'cn:' in the entry found"),
        ("slapd", 389, {"check": "ldap", "check_request": "dc=example,dc=org"}, "search: no such object (32)"),
        ("slapd", 636, {"check": "ldaps", "check_tls_verify": "false"}, ""),
        ("slapd", 389, {"check": "ldaps", **TLS}, "connection closed during the TLS handshake"),
        ("exim", 25, {"check": "smtp", **LOGIN}, "the server offers no AUTH PLAIN or LOGIN without TLS"),
        ("exim", 25, {"check": "smtp", **STARTTLS, "check_user": "nobody", "check_secret": "secret"},
         "login as nobody: 535 Incorrect authentication data"),
        ("proftpd", 21, {"check": "ftp", "check_path": "/health", "check_expect": "all is well"}, ""),
        ("proftpd", 21, {"check": "ftp", **LOGIN, "check_path": "/health", "check_expect": "nothing"},
         "no 'nothing' in /health"),
        ("postgres", 5432, {"check": "postgresql", **LOGIN, "check_database": "none"},
         'login as probe: database "none" does not exist'),
        ("postgres", 5432, {"check": "postgresql", **LOGIN, "check_database": "postgres", "check_request": "SELECT"},
         ""),
        ("postgres", 5432, {"check": "postgresql", **LOGIN, "check_database": "postgres", "check_request": "SELECT none"},
         'query: column "none" does not exist'),
        ("mariadb", 3306, {"check": "mysql", **LOGIN, "check_request": "SELECT none"},
         "query: error 1054: Unknown column 'none'"),
        ("mariadb", 3306, {"check": "mysql", **LOGIN, "check_database": "none"},
         "login as probe: error 1044: Access denied for user 'probe'@"),
        ("kamailio", 5060, {"check": "sip", "check_request": "sip:nobody@example.com", "check_status": "200 404"}, ""),
    ],
)  # fmt: skip
def test_what_is_asked_for(server: str, port: int, params: dict[str, str], reason: str, world: World) -> None:
    result = attempt(world, params, world.started(server).address4, port)
    assert result.reason.startswith(reason)
    assert result.ok == (not reason), result.reason
