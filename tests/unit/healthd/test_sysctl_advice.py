"""Kernel settings that do not fit a pool."""

from __future__ import annotations

from pathlib import Path

from ocfpy.healthd.sysctl_advice import advice, persistence_pins_clients
from ocfpy.ipvs.model import ServiceSettings

from tests.unit.healthd.samples import WEB, pool


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    sticky = pool(settings=ServiceSettings(persistence_timeout=60))
    removing = pool(quiesce=False)
    assert advice(sticky, str(tmp_path)) == [], "a kernel that has no such setting"
    for name in ("expire_quiescent_template", "expire_nodest_conn"):
        (tmp_path / name).write_text("0\n")
    assert "net.ipv4.vs.expire_quiescent_template=1" in advice(sticky, str(tmp_path))[0]
    assert "net.ipv4.vs.expire_nodest_conn=1" in advice(removing, str(tmp_path))[0]
    assert "clients of udp/192.0.2.53:53" in advice(pool(), str(tmp_path))[0]
    assert advice(pool(settings=ServiceSettings(one_packet=True)), str(tmp_path)) == advice(pool(WEB), str(tmp_path)) == []
    assert persistence_pins_clients(str(tmp_path))
    for name in ("expire_quiescent_template", "expire_nodest_conn"):
        (tmp_path / name).write_text("1\n")
    assert advice(sticky, str(tmp_path)) == advice(removing, str(tmp_path)) == []
    assert not persistence_pins_clients(str(tmp_path))
