"""VipPaths to single real servers: their entries in the kernel, of which nothing is left and none is another program's."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd.fwmarks import FIRST_MARK, FwmarkAllocator
from ocfpy.healthd.vip_probe import VipPath, VipPaths, remove_paths
from ocfpy.ipvs.model import ServiceSettings, Table, VirtualService, by_key, parse_real_server, parse_virtual
from ocfpy.pool.spec import PoolSpec, ServiceSpec

from tests.unit.ipvs.fake_kernel import FakeKernel

OTHER = parse_virtual("tcp/192.0.2.99:99")
ONE, TWO = FIRST_MARK, FIRST_MARK + 1


def service(virtual: str, *reals: str, via: str = "vip", forward: str = "dr", port: int = 0) -> ServiceSpec:
    where = parse_virtual(virtual)
    servers = by_key(parse_real_server(text, forward).behind(where) for text in reals)
    return ServiceSpec(where, servers, ServiceSettings("mh", ("flag-1",), 300), CheckSettings(port=port, via=via))


def spec(*services: ServiceSpec) -> PoolSpec:
    return PoolSpec("dns", services, "healthy-dns")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    fake = FakeKernel({OTHER: (ServiceSettings("rr"), {})})
    monkeypatch.setattr("ocfpy.net.genetlink.socket", lambda *_: fake)
    return fake


@pytest.fixture
def marks(tmp_path: Path) -> FwmarkAllocator:
    return FwmarkAllocator(str(tmp_path / "ipvs-pool-dns"))


def private(kernel: FakeKernel) -> dict[int, str]:
    """What is behind each mark."""
    shown = {}
    for virtual, (settings, reals) in kernel.table.items():
        if virtual.fwmark:
            ops = " one packet" if settings.one_packet else ""
            words = [f"{real} {real.forward} {real.weight}" for real in reals.values()]
            shown[virtual.fwmark] = f"IPv{virtual.family} {settings.scheduler}{ops}: {', '.join(words)}"
    return shown


def way_of(ways: VipPaths, of: ServiceSpec) -> VipPath:
    way = ways.way(of, next(iter(of.reals.values())))
    assert way is not None
    return way


def test_each_server_has_a_service_of_its_own(kernel: FakeKernel, marks: FwmarkAllocator) -> None:
    tcp = service("tcp/192.0.2.53:80", "10.0.0.11,weight=0,upper=9,lower=1", "10.0.0.12:8080,forward=nat", port=81)
    udp = service("udp/[2001:db8::53]:53", "[fd00::11]")
    nat = service("udp/192.0.2.54:53", "10.0.0.11", forward="nat")
    ways = VipPaths(marks)
    ways.open(spec(tcp, udp, nat))
    assert list(private(kernel).values()) == [
        "IPv4 mh one packet: 10.0.0.11:81 dr 1",
        "IPv4 mh: 10.0.0.12:81 nat 1",
        "IPv6 mh one packet: [fd00::11]:53 dr 1",
        "IPv4 mh: 10.0.0.11:53 nat 1",
    ]
    assert str(way_of(ways, udp).address) == "2001:db8::53"
    assert way_of(ways, udp).mark == FIRST_MARK + 2
    ways.keep(None)
    assert list(kernel.table) == [OTHER]
    assert marks.held() == {}


def test_without_such_checks_there_is_nothing(kernel: FakeKernel, marks: FwmarkAllocator) -> None:
    by_mark = service("fwmark/7", "10.0.0.11:80")
    at_home = service("tcp/192.0.2.53:80", "10.0.0.11", via="real")
    ways = VipPaths(marks)
    ways.open(spec(by_mark, at_home))
    assert ways.way(at_home, next(iter(at_home.reals.values()))) is None
    assert kernel.sends == []
    ways.keep(None)


def test_a_reload_keeps_what_stays(kernel: FakeKernel, marks: FwmarkAllocator) -> None:
    before = service("tcp/192.0.2.53:80", "10.0.0.11", "10.0.0.12")
    after = service("tcp/192.0.2.53:80", "10.0.0.11", "10.0.0.13")
    ways = VipPaths(marks)
    ways.open(spec(before))
    first = way_of(ways, before)
    ways.open(spec(after))
    assert len(private(kernel)) == 3, "those of before are in use until the reload is done"
    ways.keep(spec(after))
    assert way_of(ways, after) is first
    assert [text.split()[4] for text in private(kernel).values()] == ["10.0.0.11:80", "10.0.0.13:80"]
    changed = service("tcp/192.0.2.53:80", "10.0.0.11", forward="tunnel")
    ways.open(spec(changed))
    ways.keep(spec(changed))
    assert [text.split()[5] for text in private(kernel).values()] == ["tunnel"]


def test_what_a_killed_daemon_left_is_replaced(kernel: FakeKernel, marks: FwmarkAllocator) -> None:
    VipPaths(marks).open(spec(service("tcp/192.0.2.53:80", "10.0.0.11", "10.0.0.12")))
    ways = VipPaths(marks)
    ways.open(spec(service("tcp/192.0.2.53:80", "10.0.0.11")))
    assert private(kernel) == {ONE: "IPv4 mh one packet: 10.0.0.11:80 dr 1"}
    assert list(marks.held().values()) == [ONE]


def test_or_removed(kernel: FakeKernel, marks: FwmarkAllocator) -> None:
    VipPaths(marks).open(spec(service("tcp/192.0.2.53:80", "10.0.0.11", "10.0.0.12")))
    remove_paths(marks)
    assert list(kernel.table) == [OTHER]
    assert marks.held() == {}
    remove_paths(marks)


def test_also_by_a_daemon_that_needs_none(kernel: FakeKernel, marks: FwmarkAllocator) -> None:
    VipPaths(marks).open(spec(service("tcp/192.0.2.53:80", "10.0.0.11")))
    VipPaths(marks).open(spec(service("tcp/192.0.2.53:80", "10.0.0.11", via="real")))
    assert list(kernel.table) == [OTHER]
    assert marks.held() == {}


def test_a_mark_that_another_program_uses(kernel: FakeKernel, marks: FwmarkAllocator) -> None:
    foreign: Table = {VirtualService(fwmark=ONE): (ServiceSettings("rr"), {})}
    kernel.table.update(foreign)
    ways = VipPaths(marks)
    ways.open(spec(service("tcp/192.0.2.53:80", "10.0.0.11")))
    assert list(marks.held().values()) == [TWO]
    ways.keep(None)
    assert list(kernel.table) == [OTHER, VirtualService(fwmark=ONE)]


def test_a_removed_service_is_back_before_the_next_check(kernel: FakeKernel, marks: FwmarkAllocator) -> None:
    here = service("tcp/192.0.2.53:80", "10.0.0.11")
    ways = VipPaths(marks)
    ways.open(spec(here))
    kernel.table.clear()
    way_of(ways, here).open()
    assert private(kernel) == {ONE: "IPv4 mh one packet: 10.0.0.11:80 dr 1"}


@pytest.mark.parametrize(
    ("forward", "words"),
    [("dr", "on the loopback of 10.0.0.11?"), ("tunnel", "a device for ipip"), ("nat", "through this node?")],
)
def test_hints(kernel: FakeKernel, marks: FwmarkAllocator, forward: str, words: str) -> None:
    here = service("tcp/192.0.2.53:80", "10.0.0.11", forward=forward)
    ways = VipPaths(marks)
    ways.open(spec(here))
    assert words in way_of(ways, here).hint()


def test_source_is_what_the_kernel_picks(kernel: FakeKernel, marks: FwmarkAllocator) -> None:
    here = service("tcp/192.0.2.53:80", "127.0.0.5")
    ways = VipPaths(marks)
    ways.open(spec(here))
    assert way_of(ways, here).source().startswith("127.0.0.")
