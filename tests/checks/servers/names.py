"""A name server."""

from __future__ import annotations

from tests.checks.server import Server, log_says


class Named(Server):
    """BIND with the zone example.com."""

    name = "named"
    port = 53
    ports = ("udp/53", "tcp/53")
    private = (*Server.private, "/var/cache/bind")

    def prepare(self) -> None:
        self.write(
            "example.com",
            "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\n"
            "www A 192.0.2.80\nwww AAAA 2001:db8::80\nonly6 AAAA 2001:db8::81\n",
        )
        four = " ".join(f"{address};" for address in self.addresses if ":" not in address)
        six = " ".join(f"{address};" for address in self.addresses if ":" in address)
        self.write(
            "named.conf",
            f"""
            options {{
                directory "{self.directory}"; pid-file none; session-keyfile none; lock-file none;
                listen-on {{ {four} }}; listen-on-v6 {{ {six} }};
                recursion no; dnssec-validation no; allow-query {{ any; }};
            }};
            controls {{ }};
            zone "example.com" {{ type primary; file "{self.directory}/example.com"; }};
            """,
        )

    def argv(self) -> list[str]:
        return ["named", "-g", "-n", "1", "-c", f"{self.directory}/named.conf"]

    def ready(self) -> bool:
        return log_says(self, "all zones loaded")
