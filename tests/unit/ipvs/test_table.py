"""Reading and changing a table, through the messages that a kernel would get."""

from __future__ import annotations

import struct
from errno import EINVAL, ENOENT, ESRCH

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ipvs import messages
from ocfpy.ipvs.model import (
    ServiceSettings,
    Table,
    Timeouts,
    Traffic,
    VirtualService,
    parse_real_server,
    parse_virtual,
)
from ocfpy.ipvs.plan import ADD, DELETE, EDIT, Change, plan
from ocfpy.ipvs.table import IpvsError, IpvsTable
from ocfpy.net import netlink
from ocfpy.ocf import codes
from ocfpy.ocf.errors import NotInstalledError

from tests.unit.ipvs import pyroute2_messages
from tests.unit.ipvs.fake_kernel import FakeKernel
from tests.unit.ipvs.tables import bounded, real_servers, service_settings, tables, virtual_services

DNS = parse_virtual("tcp/192.0.2.53:53")
REAL = parse_real_server("10.0.0.11:53")
RR = ServiceSettings("rr")


def connected(kernel: FakeKernel) -> IpvsTable:
    """A table that talks to this kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ocfpy.net.genetlink.socket", lambda *_: kernel)
        return IpvsTable()


class Late(FakeKernel):
    """A kernel that has answers left to a request whose reader gave up."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.late: list[bytes] = []

    def recv(self, size: int) -> bytes:
        return self.late.pop(0) if self.late else super().recv(size)


def test_answers_to_an_earlier_request_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for those to this one they would say that a service is not there, or that a change was made or refused."""

    def answer(errno: int) -> bytes:
        return netlink.message(netlink.NLMSG_ERROR, 0, 1, struct.pack("=i", -errno) + bytes(16))

    web = parse_virtual("tcp/192.0.2.80:80")
    kernel = Late({DNS: (ServiceSettings("rr"), {})})
    monkeypatch.setattr("ocfpy.net.genetlink.socket", lambda *_: kernel)
    with IpvsTable() as ipvs:
        kernel.late = [answer(ESRCH), netlink.message(netlink.NLMSG_DONE, 0, 1, bytes(4))]
        assert list(ipvs.read_services([DNS])) == [DNS]
        kernel.late = [answer(EINVAL), answer(0)]
        ipvs.apply([Change(ADD, web, ServiceSettings("rr"))])
        kernel.late = [netlink.message(netlink.NLMSG_DONE, 0, 1, bytes(4))]
        assert set(ipvs.read()) == {DNS, web}
        assert kernel.late == []


@bounded
@given(st.data(), virtual_services())
def test_service_survives_the_wire(data: st.DataObject, virtual: VirtualService) -> None:
    wanted = data.draw(service_settings(virtual.family))
    assert messages.service_of(messages.message(1, virtual, wanted)) == (virtual, wanted)


@bounded
@given(st.data(), st.sampled_from((4, 6)))
def test_real_server_survives_the_wire(data: st.DataObject, family: int) -> None:
    real = data.draw(real_servers(family))
    assert messages.real_of(messages.message(5, real=real), family) == real


def test_bytes_are_what_the_kernel_reads() -> None:
    # Written out by hand from linux/ip_vs.h, for a declaration and its inverse may be wrong together.
    def attribute(kind: int, value: bytes) -> bytes:
        return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)

    service = b"".join(
        [
            attribute(1, struct.pack("=H", 2)),
            attribute(2, struct.pack("=H", 17)),
            attribute(3, bytes([192, 0, 2, 53]) + bytes(12)),
            attribute(4, bytes([0x13, 0xC4])),
            attribute(6, b"mh\0"),
            attribute(7, struct.pack("=II", 0x1 | 0x8, 0xFFFFFFFF)),
            attribute(8, struct.pack("=I", 300)),
            attribute(9, bytes([255, 255, 255, 0])),
            attribute(11, b"sip\0"),
        ]
    )
    dest = b"".join(
        [
            attribute(1, bytes.fromhex("20010db8" + "00" * 11 + "11")),
            attribute(2, bytes([0x00, 0x50])),
            attribute(3, struct.pack("=I", 2)),
            attribute(4, struct.pack("=I", 5)),
            attribute(5, struct.pack("=I", 20)),
            attribute(6, struct.pack("=I", 10)),
            attribute(11, struct.pack("=H", 10)),
            attribute(13, struct.pack("=B", 1)),
            attribute(14, bytes([0x15, 0xB3])),
            attribute(15, struct.pack("=H", 1)),
        ]
    )
    msg = messages.message(
        messages.CMD_NEW_DEST,
        parse_virtual("udp/192.0.2.53:5060"),
        ServiceSettings("mh", ("flag-1",), 300, 24, "sip"),
        parse_real_server(
            "[2001:db8::11]:80,weight=5,forward=tunnel,lower=10,upper=20,"
            "tunnel_type=gue,tunnel_port=5555,tunnel_checksum=csum"
        ),
    )
    assert msg == struct.pack("=BBH", 5, 1, 0) + attribute(1, service) + attribute(2, dest)


@bounded
@given(st.data(), virtual_services())
def test_bytes_are_what_pyroute2_makes_of_the_declared_types(
    data: st.DataObject, virtual: VirtualService
) -> None:
    settings = data.draw(service_settings(virtual.family))
    real = data.draw(real_servers(virtual.family))
    declared = pyroute2_messages.message(messages.CMD_NEW_DEST, virtual, settings, real)
    declared.encode()
    netlink_header = 16
    assert (
        messages.message(messages.CMD_NEW_DEST, virtual, settings, real)
        == bytes(declared.data)[netlink_header:]
    )


@bounded
@given(tables())
def test_table_is_read_as_the_kernel_has_it(table: Table) -> None:
    with connected(FakeKernel(table)) as ipvs:
        assert ipvs.read() == table
        some = set(list(table)[::2])
        assert ipvs.read(some.__contains__) == {virtual: table[virtual] for virtual in some}


@bounded
@given(st.data())
def test_plan_carried_out_makes_the_wanted_table(data: st.DataObject) -> None:
    among = tuple(data.draw(st.lists(virtual_services(), min_size=1, max_size=5, unique=True)))
    before, wanted = data.draw(tables(among)), data.draw(tables(among))
    owned = data.draw(st.sets(st.sampled_from(among)))
    kernel = FakeKernel(before)
    with connected(kernel) as ipvs:
        ipvs.apply(plan(ipvs.read(), wanted, owned))
        assert not plan(ipvs.read(), wanted, owned)
    foreign = {virtual: entry for virtual, entry in before.items() if virtual not in owned | set(wanted)}
    assert kernel.table == {**foreign, **wanted}


@bounded
@given(st.data())
def test_changes_are_made_although_another_process_changed_the_table(data: st.DataObject) -> None:
    among = tuple(data.draw(st.lists(virtual_services(), min_size=1, max_size=3, unique=True)))
    before, meanwhile, wanted = (data.draw(tables(among)) for _ in range(3))
    kernel = FakeKernel(meanwhile)
    with connected(kernel) as ipvs:
        changes = plan(before, wanted, set(among))
        services = {change.virtual for change in changes if change.real is None}
        for change in changes:
            if change.virtual not in meanwhile and change.virtual not in services:
                return  # its service is gone and stays so: that is a failure, tested below
        ipvs.apply(changes)
    for change in changes:
        if change.verb == DELETE:
            entry = kernel.table.get(change.virtual)
            assert entry is None or (change.real is not None and change.real.key not in entry[1])
        elif change.real is None:
            assert kernel.table[change.virtual][0] == change.settings
        else:
            assert kernel.table[change.virtual][1][change.real.key] == change.real


def test_many_changes_are_few_sends() -> None:
    kernel = FakeKernel()
    reals = [REAL.replace(port=port) for port in range(1, 400)]
    with connected(kernel) as ipvs:
        kernel.sends.clear()
        ipvs.apply([Change(ADD, DNS, RR), *(Change(ADD, DNS, real=real) for real in reals)])
    assert kernel.sends == [64] * 6 + [16]
    assert len(kernel.table[DNS][1]) == 399
    assert kernel.closed


def test_unknown_scheduler_is_named_once_and_does_not_stop_the_rest() -> None:
    other = parse_virtual("fwmark/7")
    kernel = FakeKernel()
    changes = [
        Change(ADD, DNS, ServiceSettings("wcl")),
        Change(ADD, other, RR),
        Change(ADD, DNS, real=REAL),
        Change(ADD, other, real=REAL),
    ]
    with connected(kernel) as ipvs, pytest.raises(IpvsError) as failure:
        ipvs.apply(changes)
    assert list(kernel.table) == [other]
    assert len(kernel.table[other][1]) == 1
    assert failure.value.failures == ((changes[0], ENOENT),)
    assert failure.value.code == codes.OCF_ERR_ARGS
    assert "no IPVS scheduler 'wcl' (modprobe ip_vs_wcl)" in failure.value.reason
    assert "tcp/192.0.2.53:53" in failure.value.reason


def test_unknown_engine_is_named_beside_the_scheduler() -> None:
    error = IpvsError(
        [(Change(ADD, DNS, ServiceSettings("rr", persistence_timeout=1, engine="spi")), ENOENT)]
    )
    assert "persistence engine 'spi' (modprobe ip_vs_pe_spi)" in error.reason


def test_real_server_of_a_service_that_vanished_is_a_failure() -> None:
    with connected(FakeKernel()) as ipvs, pytest.raises(IpvsError) as failure:
        ipvs.apply([Change(EDIT, DNS, real=REAL), Change(ADD, DNS, real=REAL)])
    assert failure.value.errno == ESRCH
    assert failure.value.code == codes.OCF_ERR_GENERIC
    assert "another process removed tcp/192.0.2.53:53" in failure.value.reason
    assert "(and 1 more changes failed)" in failure.value.reason


def test_deleting_what_is_gone_is_done() -> None:
    with connected(FakeKernel({DNS: (RR, {})})) as ipvs:
        ipvs.apply([Change(DELETE, DNS, real=REAL), Change(DELETE, parse_virtual("fwmark/9"))])


def test_nothing_to_do_sends_nothing() -> None:
    kernel = FakeKernel()
    with connected(kernel) as ipvs:
        kernel.sends.clear()
        ipvs.apply([])
    assert not kernel.sends


def test_kernel_without_ipvs() -> None:
    kernel = FakeKernel()
    kernel.has_ipvs = False
    with pytest.raises(NotInstalledError, match="modprobe ip_vs"):
        connected(kernel)
    assert kernel.closed


def test_not_root() -> None:
    kernel = FakeKernel()
    with connected(kernel) as ipvs:
        kernel.is_root = False
        with pytest.raises(PermissionError):
            ipvs.read()
        with pytest.raises(IpvsError) as failure:
            ipvs.apply([Change(ADD, DNS, RR)])
    assert failure.value.code == codes.OCF_ERR_PERM


def test_other_refusals_keep_the_words_of_the_kernel() -> None:
    error = IpvsError([(Change(ADD, DNS, real=REAL), EINVAL)])
    assert (
        error.reason == "cannot add real server 10.0.0.11:53 of tcp/192.0.2.53:53 weight 1: Invalid argument"
    )


def test_traffic_is_that_of_every_service_and_server() -> None:
    with connected(FakeKernel({DNS: (RR, {REAL.key: REAL})})) as ipvs:
        whole, parts = ipvs.traffic()[DNS]
    assert whole == parts[REAL.key] == Traffic(7, 0, 0, 0, 0)


def test_timeouts_are_the_kernels() -> None:
    kernel = FakeKernel()
    with connected(kernel) as ipvs:
        assert ipvs.timeouts() == Timeouts(900, 120, 300)
        kernel.timeouts = Timeouts(10, 20, 30)
        assert ipvs.timeouts() == Timeouts(10, 20, 30)
