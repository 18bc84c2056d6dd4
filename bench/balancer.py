"""What the benchmarks of a load balancer stand on: one node with real IPVS, and a namespace that is all of its real servers."""
from __future__ import annotations

import selectors
import shutil
import socket
import threading
from pathlib import Path
from types import TracebackType

from tests.lab.testbed import rootfs
from tests.lab.testbed.base import wait_for
from tests.lab.testbed.network import CONTROL, Fabric, Namespace, sweep
from tests.lab.testbed.uml import MEMORY_MIB, Nic, UmlNode

LAN = "lan"
NODE, SERVERS = "10.88.255.1", "10.88.255.2"
REALS = "10.88.0.0/17"
"""Every address in here is a real server: the namespace takes connections for all of them."""
SCRIPTS = Path(__file__).parent / "node"
BOOT = "cat /usr/lib/modules-load.d/*.conf | xargs -n1 modprobe"

def real(index: int) -> str:
    """Address of a real server, from 0."""
    return f"10.88.{index // 250}.{index % 250 + 1}"


class Balancer:
    """`node`, booted; `servers`, the namespace behind it. Use it in a `with`."""

    def __init__(self, memory_mib: int = MEMORY_MIB) -> None:
        self.images = rootfs.prepare(rootfs.find_deb())
        sweep()
        self.fabric = Fabric()
        self.directory = rootfs.CACHE / self.fabric.run
        shutil.rmtree(self.directory, ignore_errors=True)
        self.fabric.segment(LAN)
        self.servers = self.fabric.namespace("servers")
        self.fabric.plug(self.servers, "lan", LAN, f"{SERVERS}/24")
        self.servers.ip("route", "add", "local", REALS, "dev", "lo")
        self.node = UmlNode(
            "balancer", self.fabric, self.images, self.directory / "balancer/shared",
            [Nic(LAN, "02:00:00:88:00:01", [f"{NODE}/24"]), Nic(CONTROL, "02:00:00:99:88:01", ["10.99.0.81/24"])],
            "10.99.0.81", routes=[f"{REALS} via {SERVERS}"], boot=BOOT,
            memory_mib=memory_mib,
        )

    def __enter__(self) -> Balancer:
        self.node.power_on()
        for script in SCRIPTS.iterdir():
            self.node.put(f"/root/{script.name}", script.read_text(), 0o755)
        wait_for(lambda: self.node.run("test -e /proc/net/ip_vs").rc == 0, 30, "IPVS is loaded")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.node.power_off()
        self.fabric.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def pss_kib(self, pattern: str) -> int:
        """Memory of the node's processes whose command line matches, shared pages shared out (PSS)."""
        script = f"for p in $(pgrep -f '{pattern}'); do grep -s '^Pss:' /proc/$p/smaps_rollup; done"
        return sum(int(line.split()[1]) for line in self.node.run(script).out.splitlines())


class Listener(threading.Thread):
    """Takes every connection at `addresses` (port 80) of a namespace and closes it when the other side does; `taken` counts."""

    def __init__(self, namespace: Namespace, *addresses: str) -> None:
        super().__init__(daemon=True)
        self.taken = 0
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._listening: list[socket.socket] = []
        for address in addresses:
            listening = namespace.within(lambda address=address: socket.create_server((address, 80), backlog=4096))  # type: ignore[misc]
            listening.setblocking(False)
            self._selector.register(listening, selectors.EVENT_READ, listening)
            self._listening.append(listening)
        self.start()

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                if key.data is None:
                    self._hang_up(key.fileobj)
                else:
                    self._accept(key.data)

    def _accept(self, listening: socket.socket) -> None:
        try:
            while True:
                connection, _ = listening.accept()
                self.taken += 1
                connection.setblocking(False)
                self._selector.register(connection, selectors.EVENT_READ)
        except BlockingIOError:
            pass

    def _hang_up(self, connection: object) -> None:
        assert isinstance(connection, socket.socket)
        try:
            if connection.recv(4096):
                return
        except OSError:
            pass
        self._selector.unregister(connection)
        connection.close()

    def await_more(self, count: int, limit: float) -> None:
        """Returns as soon as so many more connections have been taken; LabError after `limit` seconds."""
        wanted = self.taken + count
        wait_for(lambda: self.taken >= wanted, limit, f"{count} more connections are taken", every=0.002)

    def close(self) -> None:
        """From now on the ports refuse."""
        self._wake.send(b"x")
        self.join()
        for listening in self._listening:
            listening.close()
