"""Whether a virtual service is there, by the messages that a kernel would get."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ipvs import presence
from ocfpy.ipvs.model import ServiceSettings, Table, parse_real_server, parse_virtual
from ocfpy.net import genetlink
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.errors import ServiceError

from tests.unit.ipvs.fake_kernel import FakeKernel
from tests.unit.ipvs.tables import bounded, tables

DNS, WEB, MARK = (parse_virtual(text) for text in ("tcp/192.0.2.53:53", "tcp/192.0.2.80:80", "fwmark6/7"))
REAL = parse_real_server("10.0.0.11:53,weight=2,forward=nat")


def kernel_with(monkeypatch: pytest.MonkeyPatch, table: Table) -> FakeKernel:
    kernel = FakeKernel(table)
    monkeypatch.setattr(genetlink, "socket", lambda *_: kernel)
    return kernel


@pytest.fixture
def proc(tmp_path: Path) -> str:
    """A /proc/net/ip_vs that shows nothing."""
    path = tmp_path / "ip_vs"
    path.write_text("IP Virtual Server version 1.2.1 (size=4096)\n")
    return str(path)


def test_present(monkeypatch: pytest.MonkeyPatch, proc: str) -> None:
    kernel_with(monkeypatch, {DNS: (ServiceSettings(), {}), MARK: (ServiceSettings(), {})})
    assert presence.present([WEB, DNS, MARK, parse_virtual("fwmark/7")], proc) == [DNS, MARK]
    assert presence.present([WEB], proc) == []


def test_nothing_is_asked_of_a_kernel_without_ipvs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Opening the socket would load the module."""
    kernel = kernel_with(monkeypatch, {})
    assert presence.present([DNS], str(tmp_path / "none")) == []
    assert kernel.sends == []


def test_services_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel_with(monkeypatch, {DNS: (ServiceSettings("rr"), {REAL.key: REAL}), WEB: (ServiceSettings(), {})})
    found = presence.read_kernel([DNS, MARK], parse_address("192.0.2.53"))
    assert list(found) == [DNS]
    assert found[DNS].scheduler == "rr"
    assert [(str(real.address), real.port, real.weight, real.forward) for real in found[DNS].reals.values()] == [
        ("10.0.0.11", 53, 2, "nat")
    ]


def test_services_on_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel_with(monkeypatch, {DNS: (ServiceSettings(), {}), WEB: (ServiceSettings(), {}), MARK: (ServiceSettings(), {})})
    assert list(presence.read_kernel([], parse_address("192.0.2.80"))) == [WEB]


def test_a_list_that_misses_a_service_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = kernel_with(monkeypatch, {WEB: (ServiceSettings(), {})})
    dumps: list[bytes] = []
    dump = kernel._dump

    def one_page_too_late(body: bytes, sequence: int) -> None:
        dumps.append(body)
        if len(dumps) == 2:
            kernel.table[DNS] = ServiceSettings(), {}
        dump(body, sequence)

    monkeypatch.setattr(kernel, "_dump", one_page_too_late)
    assert list(presence.read_kernel([], parse_address("192.0.2.53"))) == [DNS]
    dumps.clear()
    assert presence.read_kernel([], parse_address("192.0.2.99")) == {}
    assert len(dumps) == presence.DUMPS


def test_a_kernel_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, proc: str) -> None:
    class Silent(FakeKernel):
        def recv(self, size: int) -> bytes:
            if self.sends[1:]:
                raise socket.timeout("timed out")
            return super().recv(size)

    monkeypatch.setattr(genetlink, "socket", lambda *_: Silent())
    with pytest.raises(ServiceError, match="within 10 s"):
        presence.present([DNS], proc)
    with pytest.raises(ServiceError, match="within 10 s"):
        presence.read_kernel([DNS], parse_address("192.0.2.53"))


def test_a_caller_who_is_not_root(monkeypatch: pytest.MonkeyPatch, proc: str) -> None:
    kernel_with(monkeypatch, {}).is_root = False
    with pytest.raises(PermissionError):
        presence.present([DNS], proc)


@bounded
@given(tables(), st.data())
def test_every_service_is_found_by_its_key(table: Table, data: st.DataObject) -> None:
    asked = data.draw(st.lists(st.sampled_from([*table, DNS, WEB, MARK]), unique=True))
    with pytest.MonkeyPatch.context() as patch:
        kernel_with(patch, table)
        from ocfpy.ipvs.table import IpvsTable

        with IpvsTable() as ipvs:
            assert ipvs.read_services(asked) == {virtual: table[virtual] for virtual in asked if virtual in table}
            assert ipvs.has(asked) == [virtual for virtual in asked if virtual in table]
