"""Every check type as it is tried: against which server, with which parameters, and what is wrong with a wrong answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.checks.servers.names import Named
from tests.checks.servers.web import Nginx

SERVERS = (Nginx, Named)


@dataclass(frozen=True, eq=False)
class Case:
    """A row of the table in docs/checks.md.

    `params` are those of ocf:anycast:ipvs-pool, where {ca}, {client} and the like are paths of test certificates. The answer
    becomes a wrong one when they are replaced by those in `wrong`, asked of `wrong_server` if there is one. The
    connection is `cut` after so many bytes of the server's, which has to be in the middle of what the check needs. `blind` are
    the modes that it cannot tell from a server that works.
    """

    name: str
    server: str
    params: dict[str, str]
    wrong: dict[str, str] = field(default_factory=dict)
    wrong_server: str = ""
    port: int = 0
    udp: bool = False
    cut: int = 10
    blind: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


CASES = (
    Case("tcp", "nginx", {"check": "tcp"}, blind=("wrong answer", "hangs", "half-open", "slow")),
    Case(
        "http",
        "nginx",
        {"check": "http", "check_path": "/health", "check_expect": "all is well"},
        wrong={"check_path": "/missing"},
    ),
    Case("dns", "named", {"check": "dns", "check_name": "www.example.com"}, {"check_name": "none.example.com"}, udp=True, cut=40),
)
