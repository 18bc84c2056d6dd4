"""Whether a host hears answers from an address of its own, as its kernel settings have it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocfpy.net import source
from ocfpy.net.source import missing_local_reply_sysctls, source_towards
from ocfpy.ocf.addresses import parse_address

ACCEPT, LOOSE = "net.ipv4.conf.lo.accept_local=1", "net.ipv4.conf.lo.rp_filter=2"


def test_source_towards() -> None:
    assert source_towards(parse_address("127.0.0.1")) == "127.0.0.1"
    assert source_towards(parse_address("::1")) == "::1"


@pytest.mark.parametrize(
    ("accept_all", "accept_nic", "filter_all", "filter_nic", "wrong"),
    [
        (0, 0, 0, 0, [ACCEPT]),
        (0, 1, 0, 0, []),
        (1, 0, 2, 0, []),
        (1, 0, 1, 0, [LOOSE]),
        (1, 0, 1, 2, []),
        (0, 1, 0, 1, [LOOSE]),
        (0, 0, 1, 1, [ACCEPT, LOOSE]),
    ],
)
def test_what_has_to_change(
    tmp_path: Path, accept_all: int, accept_nic: int, filter_all: int, filter_nic: int, wrong: list[str]
) -> None:
    for nic, accept, strictness in (("all", accept_all, filter_all), ("lo", accept_nic, filter_nic)):
        (tmp_path / nic).mkdir()
        (tmp_path / nic / "accept_local").write_text(f"{accept}\n")
        (tmp_path / nic / "rp_filter").write_text(f"{strictness}\n")
    assert missing_local_reply_sysctls(parse_address("127.0.0.1"), str(tmp_path)) == wrong
    assert missing_local_reply_sysctls(parse_address("::1"), str(tmp_path)) == []


def test_no_way_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_way(address: object) -> str:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(source, "source_towards", no_way)
    with pytest.raises(OSError, match="unreachable"):
        missing_local_reply_sysctls(parse_address("10.0.0.1"))
