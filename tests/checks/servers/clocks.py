"""Time servers. They leave this machine's clock alone."""

from __future__ import annotations

from tests.checks.server import Server


class Chronyd(Server):
    """chrony that takes its own clock for right, at stratum 3."""

    name = "chronyd"
    port = 123
    ports = ("udp/123",)
    source = "local stratum 3"

    def prepare(self) -> None:
        # It binds to one address of each family, or to all that its host has.
        alone = self.addresses == (self.address4, self.address6)
        bind = "\n".join(f"bindaddress {address}" for address in self.addresses) if alone else ""
        self.write(
            "chrony.conf",
            f"""\
{bind}
allow all
cmdport 0
bindcmdaddress /
pidfile /run/chronyd.pid
{self.source}
""",
        )

    def argv(self) -> list[str]:
        return ["chronyd", "-d", "-x", "-u", "root", "-f", f"{self.directory}/chrony.conf"]


class LostChronyd(Chronyd):
    """chrony that has never received the time from a server."""

    name = "chronyd-lost"
    source = ""
