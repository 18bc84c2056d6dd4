"""Hostile parameters, to both agents as Pacemaker would pass them: a defined code, one reason, and not a byte to bgpd."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ocfpy.agents import anycast_vip
from ocfpy.agents.anycast_vip import AnycastVip
from ocfpy.agents.bgp_announce import BgpAnnounce
from ocfpy.ocf.agent import Agent
from ocfpy.ocf.dispatch import main

CODES = {0, 1, 2, 3, 4, 5, 6, 7}
BAD = st.one_of(
    st.sampled_from(
        [
            *("192.0.2.53\n", "192.0.2.53\nrouter bgp 1", "192.0.2.53\0", "192.0.2.53;reboot", "$(id)", "`id`"),
            *("192.0.2.0/24", "192.0.2.53/31", "192.0.2.53/32/32", "192.0.2.53/+32", "192.0.2.53/ 32", "2001:db8::/64", "::1"),
            *("127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "fe80::1", "fe80::1%lo", "::ffff:192.0.2.53", "٣.٣.٣.٣"),
            *("192.0.2.053", "192.0.2", "1", "0x7f000001", "192.0.2.53/٣٢", "198.51.100.1", "x" * 5000, "1" * 5000, "é"),
        ]
    ),
    st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=60),
)
# What is wrong with lists of prefixes: host bits, and overlaps are fine but must not confuse.
SUBNETS = st.one_of(
    st.sampled_from(["192.0.2.1/24", "0.0.0.0/0 192.0.2.0/24", "192.0.2.0/24 192.0.2.0/25", "192.0.2.0/24;", ""]), BAD
)
NAMES = st.one_of(st.just(""), BAD, st.sampled_from(["DRAIN X", "DRAIN;", "-x", "../x", "DRAIN\rend"]))
OFFERED = st.sampled_from(["start", "monitor", "stop", "validate-all", "migrate_to", "migrate_from"])  # by both agents
ACTIONS = st.just("reload-agent") | OFFERED


class CountingVty:
    """Listens where bgpd would, and counts what it is sent; never answers."""

    def __init__(self, directory: Path) -> None:
        self.received = 0
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(directory / "bgpd.vty"))
        self._server.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                self.received += len(connection.recv(65536))

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def vty(tmp_path: Path) -> Iterator[CountingVty]:
    listener = CountingVty(tmp_path)
    yield listener
    listener.close()


def call(
    agent: type[Agent], action: str, rundir: Path, capfd: pytest.CaptureFixture[str], parameters: dict[str, str]
) -> tuple[int, list[str]]:
    """Exit code and stderr. What no environment can hold never comes: execve ends a value at the NUL."""
    environ = {
        "HA_RSCTMP": str(rundir / "run"),
        "HA_LOGFACILITY": "none",
        "OCF_RESOURCE_INSTANCE": "hostile",
        "OCF_RESKEY_CRM_meta_timeout": "1000",
        **{f"OCF_RESKEY_{name}": value for name, value in parameters.items()},
    }
    if action == "monitor":
        environ["OCF_RESKEY_CRM_meta_interval"] = "5000"
    capfd.readouterr()
    return main(agent, [agent.name, action], environ), capfd.readouterr().err.splitlines()


def check(agent: type[Agent], action: str, code: int, stderr: list[str]) -> None:
    said = [line for line in stderr if line.startswith("ocf-exit-reason:")]
    assert code in CODES
    assert "Traceback" not in "".join(stderr)
    assert "unexpectedly" not in "".join(stderr), stderr
    assert len(said) <= 1
    if action == "stop":
        assert code == 0, "a stop that fails fences the node"
    elif code not in (0, 7):
        assert len(said) == 1
        assert len(said[0]) > len("ocf-exit-reason:")


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(action=ACTIONS, prefix=BAD)
def test_a_bad_prefix_is_not_a_byte_to_bgpd(
    vty: CountingVty, tmp_path: Path, capfd: pytest.CaptureFixture[str], action: str, prefix: str
) -> None:
    if prefix.strip(" \t") in ("192.0.2.53", "198.51.100.1"):
        prefix += "\n"
    parameters = {"prefix": prefix, "allowed_prefixes": "192.0.2.0/24", "vty_dir": str(tmp_path), "backend": "socket"}
    code, stderr = call(BgpAnnounce, action, tmp_path, capfd, parameters)
    check(BgpAnnounce, action, code, stderr)
    assert vty.received == 0
    if action in ("start", "validate-all", "migrate_from"):
        assert code == 6


@SETTINGS
@given(action=ACTIONS, parameter=st.sampled_from(["route_map", "drain_route_map", "vrf", "peers", "settle"]), value=BAD)
def test_any_other_bad_parameter_is_not_a_byte_to_bgpd(
    vty: CountingVty, tmp_path: Path, capfd: pytest.CaptureFixture[str], action: str, parameter: str, value: str
) -> None:
    # A line break or shell syntax makes any value bad.
    for end in ("\n", ";", "\0", "$"):
        parameters = {"prefix": "192.0.2.53", "allowed_prefixes": "192.0.2.0/24", "vty_dir": str(tmp_path), "backend": "socket"}
        parameters[parameter] = value + end
        code, stderr = call(BgpAnnounce, action, tmp_path, capfd, parameters)
        check(BgpAnnounce, action, code, stderr)
        assert vty.received == 0
        assert action == "stop" or code == 6


@SETTINGS
@given(action=OFFERED, ip=BAD, nic=NAMES, subnets=SUBNETS, services=NAMES, backends=NAMES)
def test_anycast_vip_touches_nothing(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    ip: str,
    nic: str,
    subnets: str,
    services: str,
    backends: str,
) -> None:
    def must_not(*words: object) -> None:
        raise AssertionError(f"the kernel was asked to change: {words}")

    monkeypatch.setattr(anycast_vip, "add_address", must_not)
    monkeypatch.setattr(anycast_vip, "locate", lambda address: [])
    monkeypatch.setattr(anycast_vip, "remove_address", lambda address, nic: None)
    monkeypatch.setattr(AnycastVip, "prefixes_file", os.devnull)
    monkeypatch.setattr(AnycastVip, "proc_ip_vs", str(tmp_path / "none"))
    parameters = {"ip": ip, "nic": nic, "allowed_prefixes": subnets, "services": services, "min_backends": backends}
    code, stderr = call(AnycastVip, action, tmp_path, capfd, parameters)
    check(AnycastVip, action, code, stderr)
    assert action not in ("start", "migrate_from") or code != 0
