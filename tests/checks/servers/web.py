"""Web servers and a proxy."""

from __future__ import annotations

from tests.checks.server import Server

ORIGIN = "10.77.0.1"
"""The address of nginx, which squid fetches from."""


class Nginx(Server):
    """Pages over http and, on port 443, https: / says `page`, /health says `health`.

    Port 444 asks for a client's certificate, 445 has one that has expired, 446 one for addresses.
    """

    name = "nginx"
    port = 80
    ports = ("tcp/80", "tcp/443", "tcp/444", "tcp/445", "tcp/446")
    page = "<html>hello</html>"
    health = "all is well"

    def prepare(self) -> None:
        pki = self.place.pki.directory
        self.write("html/index.html", f"{self.page}\n")
        self.write("html/health", f"{self.health}\n")
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
        return " ".join(f"listen {host}:{port} {more};" for host in self.hosts)

    def _temporary(self) -> str:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        return " ".join(f"{kind}_temp_path {self.directory}/{kind};" for kind in kinds)

    def argv(self) -> list[str]:
        return ["nginx", "-e", "stderr", "-c", f"{self.directory}/nginx.conf"]


class Squid(Server):
    """A proxy that takes requests for port 80 and refuses all others; www.example.com is the address `origin` to it.

    `caches` says whether it answers a question a second time by itself.
    """

    name = "squid"
    port = 3128
    ports = ("tcp/3128",)
    user = "proxy"
    needs = ("nginx",)
    origin = ORIGIN
    caches = False

    def prepare(self) -> None:
        hosts = self.write("hosts", f"{self.origin} www.example.com\n")
        listen = "\n".join(f"http_port {host}:3128" for host in self.hosts)
        self.write(
            "squid.conf",
            f"""
            hosts_file {hosts}
            acl web port 80
            http_access deny !web
            http_access allow all
            cache {"allow" if self.caches else "deny"} all
            cache_log {self.directory}/cache.log
            access_log none
            pid_filename none
            memory_cache_shared off
            dns_nameservers 127.0.0.1
            visible_hostname proxy.example.com
            """.replace("\n            ", "\n") + f"{listen}\n",
        )

    def argv(self) -> list[str]:
        return ["squid", "-N", "-f", f"{self.directory}/squid.conf"]
