"""The agents under test, each with a configuration that is right."""

from __future__ import annotations

from dataclasses import dataclass, field

PROVIDER = "anycast"
AGENTS = f"/usr/lib/ocf/resource.d/{PROVIDER}"


@dataclass(frozen=True)
class Subject:
    """An agent, and what it can do on a machine with neither IPVS nor FRR.

    params is a complete configuration; start_code and start_reason are what start answers there.
    """

    agent: str
    params: dict[str, str] = field(hash=False)
    start_code: int = 0
    start_reason: str = ""

    def __str__(self) -> str:
        return self.agent

    @property
    def path(self) -> str:
        return f"{AGENTS}/{self.agent}"

    @property
    def starts(self) -> bool:
        return self.start_code == 0


SUBJECTS = [
    Subject("sample", {"ip": "192.0.2.1"}),
    Subject(
        "ipvs-pool",
        {"virtual": "tcp/192.0.2.53:53", "real_servers": "10.0.0.11:53 10.0.0.12:53"},
        start_code=5,
        start_reason="this kernel has no IPVS",
    ),
    Subject("ipvs-sync", {"nic": "lo", "syncid": "7"}, start_code=5, start_reason="this kernel has no IPVS"),
    Subject("anycast-vip", {"ip": "192.0.2.53", "gate": "none"}),
    Subject(
        "bgp-announce",
        {"prefix": "192.0.2.53", "allowed_prefixes": "192.0.2.0/24"},
        start_code=5,
        start_reason="FRR is not installed",
    ),
]
