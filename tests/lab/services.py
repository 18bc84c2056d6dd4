"""The five services of cib-examples/service-*.crm: real daemons on hosts of a site, a client of each, and how each breaks."""
from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import struct
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, TypeVar

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import ldap3
import ldap3.core.exceptions

from tests.checks.pki import Pki
from tests.checks.server import Place, Server
from tests.checks.servers.clocks import Chronyd, LostChronyd
from tests.checks.servers.directory import Slapd
from tests.checks.servers.names import Named
from tests.checks.servers.web import Nginx, Squid
from tests.lab.testbed import Lab, LabError, Site, wait_for
from tests.lab.testbed.base import in_order
from tests.lab.testbed.network import Namespace
from tests.lab.testbed.realserver import hold

S = TypeVar("S", bound=Server)
T = TypeVar("T")

HOSTS = 3
"""Each of them has a server of every service whose example names so many."""
FIRST_NUMBER = 31
TIMEOUT = 10
"""Seconds that a client waits for one answer."""
PATIENCE = 60.0
"""Seconds that it goes on asking, on a machine that may be busy."""
BIND = bytes.fromhex("300c020101600702010304008000")
"""LDAP's anonymous bind."""
YEARS_AGO = 1e9
HEALTHY = "ok"
"""What the sign-on's health page says; see service-sso.crm."""
FAILED = (OSError, http.client.HTTPException, dns.exception.DNSException, ldap3.core.exceptions.LDAPException)


@dataclass(frozen=True)
class Ground:
    """What the services stand on: hosts of a site, where their servers run and at which addresses."""

    hosts: Sequence[Namespace]
    places: Sequence[Place]
    addresses: Sequence[tuple[str, str]]
    pki: Pki


class Service:
    """One service. `name` is that of its example, `reason` what its check says of a server that is broken.

    `left` is the weight of that server then, None when it is removed. `helpers` are servers that the others need.
    """

    name: str
    reason: str
    left: int | None = 0
    helpers: Sequence[Server] = ()

    def __init__(self, ground: Ground, vip: str, count: int) -> None:
        self.ground, self.vip = ground, vip
        self.servers = [self.server(index) for index in range(count)]

    def server(self, index: int) -> Server:
        """The one of a host."""
        raise NotImplementedError

    def make(self, kind: type[S], index: int) -> S:
        """A server of that kind on a host, at the host's addresses and the service's."""
        return kind(self.ground.places[index], *self.ground.addresses[index], self.vip)

    def answer(self) -> str:
        """What the service says to a client; an exception when that is not as it should be. Run where the client is."""
        raise NotImplementedError

    def spoil(self, index: int) -> None:
        """Break the server of one host, in the way that this service usually breaks."""
        raise NotImplementedError

    def mend(self, index: int) -> None:
        """And put it right again; nothing happens to one that is whole."""
        raise NotImplementedError

    def stop(self) -> None:
        """End every server."""
        for server in (*self.servers, *self.helpers):
            server.stop()


class Dns(Service):
    """The resolver hangs."""

    name, reason = "dns", "timed out after 0.5 s, waiting for the answer"

    def server(self, index: int) -> Server:
        return self.make(Named, index)

    def answer(self) -> str:
        question = dns.message.make_query("www.example.com", dns.rdatatype.AAAA)
        (records,) = dns.query.udp(question, self.vip, timeout=TIMEOUT).answer
        return str(records[0])

    def spoil(self, index: int) -> None:
        self.servers[index].freeze()

    def mend(self, index: int) -> None:
        self.servers[index].thaw()


class Origin(Nginx):
    """Has a page that has not changed for years, which caches may keep."""

    page = "somewhere else"

    def prepare(self) -> None:
        super().prepare()
        os.utime(self.directory / "html/index.html", (YEARS_AGO, YEARS_AGO))


class HttpProxy(Service):
    """The proxy's host has lost its way out: what the proxy has fetched before, it goes on serving."""

    name, reason = "http-proxy", "HTTP status 503, not 200-399"

    def __init__(self, ground: Ground, vip: str, count: int) -> None:
        self.origin = Origin(ground.places[-1], *ground.addresses[-1])
        self.helpers = [self.origin]
        super().__init__(ground, vip, count)

    def server(self, index: int) -> Server:
        squid = self.make(Squid, index)
        squid.origin, squid.caches = self.origin.address4, True
        return squid

    def answer(self) -> str:
        connection = http.client.HTTPConnection(self.vip, 3128, timeout=TIMEOUT)
        connection.request("GET", "http://www.example.com/")
        response = connection.getresponse()
        if response.status != 200:
            raise LabError(f"status {response.status}")
        page = response.read().decode().strip()
        return f"{page}, from the cache" if response.headers["X-Cache"].startswith("HIT ") else page

    def spoil(self, index: int) -> None:
        self.ground.hosts[index].ip("route", "add", "unreachable", self.origin.address4)

    def mend(self, index: int) -> None:
        self.ground.hosts[index].ip("route", "flush", "type", "unreachable")


class Sso(Service):
    """The sign-on's health page has a complaint. Its pages say which host they are from."""

    name, reason = "sso", "HTTP status 200, but no 're:^ok' in the body"

    def server(self, index: int) -> Server:
        nginx = self.make(Nginx, index)
        nginx.page, nginx.health = self.ground.hosts[index].name, HEALTHY
        return nginx

    def answer(self) -> str:
        context = ssl.create_default_context(cafile=str(self.ground.pki.ca))
        plain = socket.create_connection((self.vip, 443), TIMEOUT)
        with context.wrap_socket(plain, server_hostname="sso.example.com") as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: sso.example.com\r\n\r\n")
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.read().decode().strip()

    def spoil(self, index: int) -> None:
        self._say(index, "sorry: no database")

    def mend(self, index: int) -> None:
        self._say(index, HEALTHY)

    def _say(self, index: int, text: str) -> None:
        self.servers[index].write("html/health", f"{text}\n")


class Ntp(Service):
    """The time server has been started anew and knows of no source yet."""

    name, reason = "ntp", "the server's clock is not synchronized"

    def __init__(self, ground: Ground, vip: str, count: int) -> None:
        super().__init__(ground, vip, count)
        self.lost = [self.make(LostChronyd, index) for index in range(count)]

    def server(self, index: int) -> Server:
        return self.make(Chronyd, index)

    def answer(self) -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect((self.vip, 123))
            sock.send(struct.pack("!B47x", 4 << 3 | 3))  # version 4, client
            flags, stratum = struct.unpack("!BB46x", sock.recv(48))
        if flags >> 6 == 3 or not stratum:
            raise LabError("not synchronized")
        return f"stratum {stratum}"

    def spoil(self, index: int) -> None:
        self.servers[index].stop()
        self.lost[index].start()

    def mend(self, index: int) -> None:
        self.lost[index].stop()
        self.servers[index].start()

    def stop(self) -> None:
        super().stop()
        for server in self.lost:
            server.stop()


class Ldap(Service):
    """The directory hangs. Its clients have connections that stay."""

    name, reason, left = "ldap", "timed out after 1 s, in the TLS handshake", None

    def server(self, index: int) -> Server:
        return self.make(Slapd, index)

    def answer(self) -> str:
        server = ldap3.Server(self.vip, 389, connect_timeout=TIMEOUT)
        with ldap3.Connection(server, auto_bind=True, receive_timeout=TIMEOUT) as connection:
            connection.search("dc=example,dc=com", "(cn=probe)", attributes=["description"])
            return str(connection.entries[0].description)

    def connected(self) -> socket.socket:
        """A connection that has been answered."""
        sock = socket.create_connection((self.vip, 389), TIMEOUT)
        if self.asked_over(sock) != "answered":
            raise LabError("no answer")
        return sock

    @staticmethod
    def asked_over(sock: socket.socket) -> str:
        """What comes of a question over a connection: answered, ended, or hangs."""
        try:
            sock.sendall(BIND)
            return "answered" if sock.recv(100) else "ended"
        except socket.timeout:
            return "hangs"
        except OSError:
            return "ended"

    def spoil(self, index: int) -> None:
        self.servers[index].freeze()

    def mend(self, index: int) -> None:
        self.servers[index].thaw()


KINDS: tuple[type[Service], ...] = (Dns, HttpProxy, Sso, Ntp, Ldap)


class Services:
    """All five on hosts of their own at a site. close() leaves the site as it was."""

    def __init__(self, lab: Lab, site: Site, vips: Mapping[str, str], counts: Mapping[str, int]) -> None:
        """`vips` and `counts`: of each service its address, and how many servers it has."""
        self._client = lab.client.namespace
        # Not below the lab's directory: some daemons give up their rights, and may not look into the home of who runs the tests.
        self._directory = Path(tempfile.mkdtemp(prefix="services-", dir="/var/tmp"))
        self._directory.chmod(0o755)
        self.pki = Pki(self._directory / "pki", ("sso.example.com", "ldap.example.com"))
        numbers = range(FIRST_NUMBER, FIRST_NUMBER + HOSTS)
        self.hosts = [site.host(lab.fabric, f"rs-{site.name}{number}", number) for number in numbers]
        places = [Place(host.enter, self._directory / host.name, self.pki) for host in self.hosts]
        for host, place in zip(self.hosts, places):
            hold(host, *vips.values())
            place.directory.mkdir()
        addresses = [(site.plan.lan4(number), site.plan.lan6(number)) for number in numbers]
        ground = Ground(self.hosts, places, addresses, self.pki)
        self.all = [kind(ground, vips[kind.name], counts[kind.name]) for kind in KINDS]

    def start(self) -> None:
        """Start every server; returns when all of them serve."""
        at_once([server.start for service in self.all for server in (*service.servers, *service.helpers)])

    def ask(self, service: Service) -> str:
        """What a client of the lab is told at the service's address, asked until it is."""

        return self.told(service.answer, f"{service.name} answers at {service.vip}")

    def told(self, ask: Callable[[], T], what: str) -> T:
        """What ask() returns where the client is, done until it does; a server may be busy, a question lost."""

        def once() -> T:
            try:
                return self._client.within(ask)
            except FAILED as error:
                raise LabError(f"{type(error).__name__}: {error}") from error

        return wait_for(once, PATIENCE, what)

    def said(self) -> str:
        """The end of what every server has written, for the analysis of a failure."""
        logs = [server.log for service in self.all for server in service.servers if server.log.exists()]
        return "\n".join(f"{log}:\n{log.read_text(errors='replace')[-1000:]}" for log in logs)

    def close(self) -> None:
        """End the servers, remove their hosts and files."""
        in_order(
            *(service.stop for service in self.all), *(host.remove for host in self.hosts),
            lambda: shutil.rmtree(self._directory, ignore_errors=True),
        )  # fmt: skip


def at_once(acts: Sequence[Callable[[], object]]) -> None:
    """Do all of these side by side; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(act) for act in acts]:
            done.result()
