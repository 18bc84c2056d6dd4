"""Real servers: namespaces of the host with the VIPs on their loopback, a named and an nginx that say who they are."""
from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import sandbox
from .base import LAB, VIP4, VIP6, LabError, favour, wait_for
from .network import Namespace
from .rootfs import Images

ZONE = "anycast.test"
SERVICES = ("named", "nginx")

NAMED_CONF = f"""\
options {{
    directory "/tmp"; pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no; minimal-responses yes;
    listen-on {{ any; }}; listen-on-v6 {{ any; }};
}};
controls {{ }};
zone "{ZONE}" {{ type primary; file "{LAB}/server/zone"; }};
zone "example.com" {{ type primary; file "{LAB}/server/zone"; }};
"""

ZONE_FILE = """\
$TTL 1
@ A 192.0.2.80
@ SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
ns A 192.0.2.53
www A 192.0.2.80
www AAAA 2001:db8:53::80
whoami TXT "{name}"
"""

NGINX_CONF = """\
daemon off; worker_processes 1; user root; pid /tmp/nginx.pid; error_log stderr;
events { worker_connections 512; }
http {
    access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u;
    scgi_temp_path /tmp/s;
    server { listen 80; listen [::]:80; location / { default_type text/plain; return 200 "%s\\n"; } }
}
"""


class RealServer:
    """One real server. Its DNS server answers TXT whoami.anycast.test, its web server any path, with its own name."""

    def __init__(self, namespace: Namespace, images: Images, shared: Path) -> None:
        self.name = namespace.name
        self.namespace = namespace
        self._images = images
        self._shared = shared
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        shared.mkdir(parents=True)
        (shared / "named.conf").write_text(NAMED_CONF)
        (shared / "zone").write_text(ZONE_FILE.format(name=self.name))
        (shared / "nginx.conf").write_text(NGINX_CONF % self.name)
        hold(namespace, VIP4, VIP6)

    def start(self, *services: str) -> None:
        """Start services ("named", "nginx"; without words: both); those that run are left alone."""
        commands = {
            "named": ["named", "-f", "-n", "1", "-c", f"{LAB}/server/named.conf"],
            "nginx": ["nginx", "-e", "stderr", "-c", f"{LAB}/server/nginx.conf"],
        }
        for service in services or SERVICES:
            if service not in self._processes:
                argv = sandbox.argv(
                    self._images.root, commands[service], {"server": self._shared}, namespace=self.namespace.host_name
                )
                with (self._shared / f"{service}.log").open("ab") as log:
                    self._processes[service] = subprocess.Popen(
                        argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                    )
                favour(self._processes[service].pid)

    def stop(self, *services: str) -> None:
        """SIGKILL for services (without words: both): from now on the port refuses."""
        for service in services or SERVICES:
            process = self._processes.pop(service, None)
            if process is not None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def freeze(self) -> None:
        """SIGSTOP for both: connections are accepted without an answer."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT for both."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            os.killpg(process.pid, number)

    def wait(self, limit: float = 20) -> None:
        """Return when both ports are open."""

        def listening() -> bool:
            ports = {service: process.poll() for service, process in self._processes.items()}
            if any(code is not None for code in ports.values()):
                raise LabError(f"{self.name}: ended: {ports}; see {self._shared}")
            text = self.namespace.within(lambda: Path("/proc/thread-self/net/tcp").read_text())
            return all(f":{port:04X} 00000000:0000 0A" in text for port in (53, 80))

        wait_for(listening, limit, f"{self.name} serves DNS and HTTP", every=0.05)


def hold(namespace: Namespace, *vips: str) -> None:
    """Have a host take what is sent to these addresses, and never say on the wire that it has them: direct routing."""
    namespace.sysctl(net__ipv4__conf__all__arp_ignore=1, net__ipv4__conf__all__arp_announce=2)
    for vip in vips:
        length, *more = ("128", "nodad") if ":" in vip else ("32",)
        namespace.ip("address", "add", f"{vip}/{length}", "dev", "lo", *more)


class Backends(Sequence[RealServer]):
    """The real servers of a site, together or one by one."""

    def __init__(self, servers: Sequence[RealServer]) -> None:
        self._servers = servers

    def __getitem__(self, index: int) -> RealServer:  # type: ignore[override]
        return self._servers[index]

    def __len__(self) -> int:
        return len(self._servers)

    def __iter__(self) -> Iterator[RealServer]:
        return iter(self._servers)

    def stop(self) -> None:
        """Kill every service of every server."""
        for server in self._servers:
            server.stop()

    def start(self, wait: bool = True) -> None:
        """Start every service; with `wait`, return when all ports are open."""
        for server in self._servers:
            server.start()
        if wait:
            for server in self._servers:
                server.wait()
