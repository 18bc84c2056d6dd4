"""Web servers and a proxy."""

from __future__ import annotations

from tests.checks.world import Server

ORIGIN = "10.77.0.1"
"""The address of nginx, which squid fetches from."""


class Nginx(Server):
    """Pages over http and, on port 443, https: /health says "all is well".

    Port 444 asks for a client's certificate, 445 has one that has expired, 446 one for addresses.
    """

    name = "nginx"
    port = 80
    ports = ("tcp/80", "tcp/443", "tcp/444", "tcp/445", "tcp/446")

    def prepare(self) -> None:
        pki = self.world.pki.directory
        self.write("html/index.html", "<html>hello</html>\n")
        self.write("html/health", "all is well\n")
        secure = "ssl_certificate {0}/{1}.pem; ssl_certificate_key {0}/{1}.key; ssl_session_cache off;"
        pages = f"root {self.directory}/html; location = /teapot {{ return 418; }} location = /moved {{ return 302 /; }}"
        self.write(
            "nginx.conf",
            f"""
            daemon off; worker_processes 1; pid {self.directory}/pid; error_log stderr; user root;
            events {{ worker_connections 256; }}
            http {{
                access_log off;
                {self._temporary()}
                server {{ {self._listen(80)} {pages} }}
                server {{ {self._listen(443, "ssl")} {secure.format(pki, "server")} {pages} }}
                server {{ {self._listen(444, "ssl")} {secure.format(pki, "server")} {pages}
                          ssl_client_certificate {pki}/ca.pem; ssl_verify_client on; }}
                server {{ {self._listen(445, "ssl")} {secure.format(pki, "expired")} {pages} }}
                server {{ {self._listen(446, "ssl")} {secure.format(pki, "numbers")} {pages} }}
            }}
            """,
        )

    def _listen(self, port: int, more: str = "") -> str:
        return f"listen {self.address4}:{port} {more}; listen [{self.address6}]:{port} {more};"

    def _temporary(self) -> str:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        return " ".join(f"{kind}_temp_path {self.directory}/{kind};" for kind in kinds)

    def argv(self) -> list[str]:
        return ["nginx", "-e", "stderr", "-c", f"{self.directory}/nginx.conf"]


class Squid(Server):
    """A proxy that takes requests for port 80 and refuses all others."""

    name = "squid"
    port = 3128
    ports = ("tcp/3128",)
    user = "proxy"

    def prepare(self) -> None:
        self.write(
            "squid.conf",
            f"""
            http_port {self.address4}:3128
            http_port [{self.address6}]:3128
            acl web port 80
            http_access deny !web
            http_access allow all
            cache deny all
            cache_log {self.directory}/cache.log
            access_log none
            pid_filename none
            memory_cache_shared off
            dns_nameservers 127.0.0.1
            visible_hostname proxy.example.com
            """.replace("\n            ", "\n"),
        )

    def start(self) -> None:
        self.world.started("nginx")
        super().start()

    def argv(self) -> list[str]:
        return ["squid", "-N", "-f", f"{self.directory}/squid.conf"]
