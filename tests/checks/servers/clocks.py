"""Time servers. They leave this machine's clock alone."""

from __future__ import annotations

from tests.checks.world import Server


class Chronyd(Server):
    """chrony that takes its own clock for right, at stratum 3."""

    name = "chronyd"
    port = 123
    ports = ("udp/123",)
    source = "local stratum 3"

    def prepare(self) -> None:
        self.write(
            "chrony.conf",
            f"""\
bindaddress {self.address4}
bindaddress {self.address6}
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
    """chrony that has never heard of the time from anybody."""

    name = "chronyd-lost"
    source = ""
