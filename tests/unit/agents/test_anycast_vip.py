"""anycast-vip: whose the address is, when the gate is open, and that a pair's outage leaves no failure."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from ocfpy.agents import anycast_vip
from ocfpy.agents.anycast_vip import AnycastVip
from ocfpy.ipvs.model import VirtualService
from ocfpy.ipvs.proc import ProcService, parse_proc
from ocfpy.ocf import codes
from ocfpy.ocf.addresses import Address
from ocfpy.ocf.dispatch import main
from ocfpy.ocf.errors import ServiceError
from ocfpy.ocf.state import StateFile

HEADING = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n"
DNS4 = "tcp/192.0.2.53:53"


class Host:
    """The addresses, the IPVS table and the run directory of a machine."""

    def __init__(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.addresses: list[tuple[str, str]] = [("lo", "127.0.0.1/8")]
        self.added: list[str] = []
        self.rundir = directory / "anycast"
        self.log = directory / "log"
        self.proc = directory / "ip_vs"
        self.prefixes = directory / "allowed-prefixes"
        self.kernel: str | None = None
        """What the kernel says when it is asked, as /proc shows it; None where /proc misses nothing."""
        self.asked = 0
        self.agent = type(
            "OnHost",
            (AnycastVip,),
            {"proc_ip_vs": str(self.proc), "prefixes_file": str(self.prefixes), "read_kernel": self._read_kernel},
        )
        self._capfd = capfd
        self._environ = {
            "HA_RSCTMP": str(directory),
            "HA_LOGFACILITY": "none",
            "HA_LOGFILE": str(self.log),
        }
        monkeypatch.setattr(anycast_vip, "locate", self._locate)
        monkeypatch.setattr(anycast_vip, "add_address", self._add)
        monkeypatch.setattr(anycast_vip, "remove_address", self._remove)

    def table(self, **reals: str) -> None:
        """Services on port 53 of both addresses, by protocol: a digit of weight for each real server."""
        lines = [HEADING]
        for proto, weights in reals.items():
            for local, remote in (
                ("C0000235", "0A00000{}"),
                (f"[{IP6_IN_PROC}]", f"[{IP6_IN_PROC[:-1]}{{}}]"),
            ):
                lines.append(f"{proto.upper()}  {local}:0035 wlc  \n")
                for number, weight in enumerate(weights, 1):
                    lines.append(
                        f"  -> {remote.format(f'{number:X}')}:0035      Route   {weight}      0          0\n"
                    )
        self.proc.write_text("".join(lines))

    def do(self, action: str, instance: str = "vip", level: str = "", **params: str) -> tuple[int, str]:
        """Exit code and exit reason of an action."""
        environ = {**self._environ, "OCF_RESOURCE_INSTANCE": instance, "OCF_RESKEY_CRM_meta_timeout": "2000"}
        environ["OCF_CHECK_LEVEL"] = level
        environ.update(
            {f"OCF_RESKEY_{name}": value for name, value in {"ip": "192.0.2.53", **params}.items()}
        )
        if action == "monitor":
            environ["OCF_RESKEY_CRM_meta_interval"] = "5000"
        self._capfd.readouterr()
        code = main(self.agent, ["anycast-vip", action.replace("probe", "monitor")], environ)
        return code, self._capfd.readouterr().err.replace("ocf-exit-reason:", "").strip()

    def dead_for(self, seconds: float) -> None:
        """Have it that the backends have been seen dead for this long."""
        then = time.monotonic() - seconds
        (self.rundir / "anycast-vip-vip.gate").write_text(f"since={then}\nlast={then}\n")

    def _read_kernel(self, virtuals: Sequence[VirtualService], address: Address) -> dict[VirtualService, ProcService]:
        self.asked += 1
        table = parse_proc(self.proc.read_text() if self.kernel is None else self.kernel)
        return {
            virtual: service
            for virtual, service in table.items()
            if (virtual in virtuals if virtuals else virtual.address == address)
        }

    def _locate(self, address: Address) -> list[tuple[str, int]]:
        found = [(nic, *cidr.split("/")) for nic, cidr in self.addresses]
        return [(nic, int(length)) for nic, ip, length in found if ip == str(address)]

    def _add(self, address: Address, nic: str) -> None:
        self.added.append(f"{address.cidr} on {nic}")
        self.addresses.append((nic, address.cidr))

    def _remove(self, address: Address, nic: str) -> None:
        self.addresses = [entry for entry in self.addresses if entry != (nic, address.cidr)]


IP6_IN_PROC = "2001:0db8:0000:0000:0000:0000:0000:0053"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Host:
    """A host whose pool has two backends alive."""
    machine = Host(tmp_path, monkeypatch, capfd)
    machine.table(tcp="11", udp="11")
    return machine


@pytest.mark.parametrize("ip", ["192.0.2.53/32", "2001:db8::53/128"])
def test_life(host: Host, ip: str) -> None:
    assert host.do("probe", ip=ip) == (codes.OCF_NOT_RUNNING, "")
    assert host.do("start", ip=ip) == (codes.OCF_SUCCESS, "")
    assert host.added == [f"{ip} on lo"]
    for action in ("monitor", "start", "migrate_to", "migrate_from"):
        assert host.do(action, ip=ip) == (codes.OCF_SUCCESS, ""), action
    assert len(host.added) == 1
    assert host.do("stop", ip=ip) == (codes.OCF_SUCCESS, "")
    assert host.do("stop", ip=ip) == (codes.OCF_SUCCESS, "")
    assert host.do("monitor", ip=ip) == (codes.OCF_NOT_RUNNING, "")
    assert host.addresses == [("lo", "127.0.0.1/8")]
    assert not list(host.rundir.glob("*.state"))


# --- the gate ---


def test_dead_backends_are_a_failure_that_names_them(host: Host) -> None:
    host.do("start")
    host.table(tcp="00", udp="11")
    code, reason = host.do("monitor")
    assert code == codes.OCF_ERR_GENERIC
    assert reason == f"no backend of {DNS4} is alive (10.0.0.1:53, 10.0.0.2:53 at weight 0)"


def test_start_fails_whenever_monitor_would_and_does_not_touch_the_address(host: Host) -> None:
    host.table(tcp="00", udp="11")
    code, reason = host.do("start")
    assert code == codes.OCF_ERR_GENERIC
    assert "no backend" in reason
    assert not host.added
    assert host.do("stop")[0] == codes.OCF_SUCCESS


@pytest.mark.parametrize(
    ("tables", "params", "dead"),
    [
        ({"tcp": "10", "udp": "01"}, {}, ""),
        ({"tcp": "10", "udp": "00"}, {}, "no backend of udp/"),
        ({"tcp": "10", "udp": "00"}, {"gate": "any"}, ""),
        ({"tcp": "00", "udp": "00"}, {"gate": "any"}, "no backend of tcp/"),
        ({"tcp": "00"}, {"gate": "none"}, ""),
        ({}, {}, "there is no virtual service on 192.0.2.53"),
        ({"tcp": ""}, {}, f"{DNS4} has no backends"),
        ({"tcp": ""}, {"min_backends": "50%"}, f"{DNS4} has no backends"),
        ({"tcp": "0"}, {"min_backends": "1%"}, "no backend of tcp/"),
        ({"tcp": "110"}, {"min_backends": "2"}, ""),
        (
            {"tcp": "100"},
            {"min_backends": "2"},
            "only 1 of 3 backends of tcp/192.0.2.53:53 are alive, 2 are needed",
        ),
        ({"tcp": "100"}, {"min_backends": "34%"}, "2 are needed (10.0.0.2:53, 10.0.0.3:53 at weight 0)"),
        ({"tcp": "100"}, {"min_backends": "33%"}, ""),
        ({"tcp": "10", "udp": "00"}, {"services": DNS4}, ""),
        (
            {"udp": "11"},
            {"services": DNS4},
            f"there is no virtual service {DNS4}: start ipvs-pool on this node",
        ),
        ({"udp": "11"}, {"services": f"{DNS4} udp/192.0.2.53:53", "gate": "any"}, ""),
        ({"tcp": "11"}, {"services": "fwmark/7"}, "there is no virtual service fwmark/7"),
        ({"tcp": "00000000000"}, {}, "10.0.0.8:53, ... at weight 0)"),
    ],
)
def test_gate(host: Host, tables: dict[str, str], params: dict[str, str], dead: str) -> None:
    host.table(**tables)
    code, reason = host.do("start", **params)
    assert (code, dead in reason) == (codes.OCF_ERR_GENERIC if dead else codes.OCF_SUCCESS, True), reason


@pytest.mark.parametrize(
    ("weights", "sorry", "reason"),
    [
        ("1", "10.0.0.1", "has no backends"),
        ("1", "10.0.0.1:53", "has no backends"),
        ("1", "10.0.0.1:54", ""),
        ("01", "10.0.0.2", "no backend of tcp/192.0.2.53:53 is alive (10.0.0.1:53 at weight 0)"),
        ("11", "10.0.0.2 10.0.0.7", ""),
    ],
)
def test_sorry_servers_do_not_count(host: Host, weights: str, sorry: str, reason: str) -> None:
    host.table(tcp=weights)
    assert host.do("start", sorry_server=sorry)[0] == (1 if reason else 0)
    assert reason in host.do("start", sorry_server=sorry)[1]


def test_service_on_another_address_is_of_no_interest(host: Host) -> None:
    code, reason = host.do("start", ip="192.0.2.99")
    assert code == codes.OCF_ERR_GENERIC
    assert "there is no virtual service on 192.0.2.99" in reason


def test_kernel_without_ipvs_is_a_closed_gate_not_a_missing_program(host: Host) -> None:
    host.proc.unlink()
    code, reason = host.do("start")
    assert (code, reason) == (
        codes.OCF_ERR_GENERIC,
        "this kernel has no IPVS yet: start ipvs-pool on this node",
    )
    assert host.do("probe")[0] == codes.OCF_NOT_RUNNING
    assert host.do("start", gate="none")[0] == codes.OCF_SUCCESS


def test_stop_does_not_ask_the_gate(host: Host) -> None:
    host.do("start")
    host.proc.unlink()
    assert host.do("stop") == (codes.OCF_SUCCESS, "")


# --- not seen in /proc is not gone ---


@pytest.mark.parametrize("seen", [{}, {"udp": "11"}, {"tcp": "", "udp": "11"}, {"tcp": "00", "udp": "11"}])
@pytest.mark.parametrize("services", ["", f"{DNS4} udp/192.0.2.53:53"])
def test_what_proc_misses_is_asked_for(host: Host, seen: dict[str, str], services: str) -> None:
    host.do("start", services=services)
    host.kernel = host.proc.read_text()
    host.table(**seen)
    assert host.do("monitor", services=services) == (codes.OCF_SUCCESS, "")
    assert host.asked == (0 if seen == {"udp": "11"} and not services else 1)


def test_what_the_kernel_does_not_have_is_gone(host: Host) -> None:
    host.do("start", services=DNS4)
    host.kernel = HEADING
    assert host.do("monitor", services=DNS4) == (codes.OCF_SUCCESS, "")
    host.table()
    code, reason = host.do("monitor", services=DNS4)
    assert (code, reason) == (codes.OCF_ERR_GENERIC, f"there is no virtual service {DNS4}: start ipvs-pool on this node")
    assert "there is no virtual service on 192.0.2.53" in host.do("monitor")[1]


def test_a_monitor_that_misses_nothing_does_not_ask(host: Host) -> None:
    host.table(tcp="10", udp="00")
    for params in ({"services": DNS4}, {"gate": "any"}):
        assert host.do("start", **params)[0] == codes.OCF_SUCCESS
        assert host.do("monitor", **params)[0] == codes.OCF_SUCCESS
    assert host.asked == 0


def test_stop_does_not_depend_on_the_answer(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer(*_: object) -> None:
        raise ServiceError("the kernel did not answer")

    host.do("start")
    host.table()
    monkeypatch.setattr(host.agent, "read_kernel", no_answer)
    assert host.do("monitor") == (codes.OCF_ERR_GENERIC, "the kernel did not answer")
    assert host.do("stop", hold_down="1s") == (codes.OCF_SUCCESS, "")
    assert len(host.addresses) == 1
    assert "the kernel did not answer" in host.log.read_text()


# --- the race of a pair that loses its backends: no failed action while the location rule has its time ---


@pytest.mark.parametrize("action", ["start", "migrate_from"])
def test_coming_to_a_node_whose_backends_have_just_died_is_no_failure(host: Host, action: str) -> None:
    host.table(tcp="00", udp="00")
    assert host.do(action, attribute="healthy-pool") == (codes.OCF_SUCCESS, "")
    assert host.do("monitor", attribute="healthy-pool") == (codes.OCF_SUCCESS, "")
    assert host.do("migrate_to", attribute="healthy-pool") == (codes.OCF_SUCCESS, "")
    assert host.do("stop", attribute="healthy-pool") == (codes.OCF_SUCCESS, "")


def test_rule_that_does_not_act_is_a_failure_after_the_grace(host: Host) -> None:
    host.do("start", attribute="healthy-pool")
    host.table(tcp="00", udp="00")
    assert host.do("monitor", attribute="healthy-pool")[0] == codes.OCF_SUCCESS
    host.dead_for(14)
    assert host.do("monitor", attribute="healthy-pool")[0] == codes.OCF_SUCCESS
    host.dead_for(16)
    code, reason = host.do("monitor", attribute="healthy-pool")
    assert code == codes.OCF_ERR_GENERIC
    assert "dead for 16 s, and Pacemaker has not moved the resource" in reason
    assert reason.endswith("add a location rule on healthy-pool")


def test_each_outage_has_its_own_grace(host: Host) -> None:
    host.do("start", attribute="healthy-pool")
    host.table(tcp="00", udp="00")
    host.dead_for(16)
    host.table(tcp="10", udp="10")
    assert host.do("monitor", attribute="healthy-pool")[0] == codes.OCF_SUCCESS
    host.table(tcp="00", udp="00")
    assert host.do("monitor", attribute="healthy-pool")[0] == codes.OCF_SUCCESS


def test_stop_ends_the_grace_of_the_old_outage(host: Host) -> None:
    host.table(tcp="00", udp="00")
    host.do("start", attribute="healthy-pool")
    host.dead_for(1000)
    assert host.do("stop", attribute="healthy-pool")[0] == codes.OCF_SUCCESS
    assert host.do("start", attribute="healthy-pool")[0] == codes.OCF_SUCCESS


def test_grace_is_a_parameter(host: Host) -> None:
    host.table(tcp="00", udp="00")
    assert host.do("start", grace="0", attribute="healthy-pool")[0] == codes.OCF_ERR_GENERIC


# --- hold_down ---


def test_hold_down_does_not_delay_a_first_start(host: Host) -> None:
    begun = time.monotonic()
    assert host.do("start", hold_down="60s")[0] == codes.OCF_SUCCESS
    assert time.monotonic() - begun < 1


def test_start_waits_until_the_backends_have_been_alive_for_long_enough(host: Host) -> None:
    host.table(tcp="00", udp="00")
    dead = time.monotonic()
    assert host.do("start", hold_down="300ms")[0] == codes.OCF_ERR_GENERIC
    host.table(tcp="11", udp="11")
    assert host.do("start", hold_down="300ms")[0] == codes.OCF_SUCCESS
    assert time.monotonic() - dead >= 0.29


def test_hold_down_longer_than_the_timeout_says_what_it_waits_for(host: Host) -> None:
    host.do("start")
    host.table(tcp="00", udp="00")
    host.do("stop", hold_down="60s")
    host.table(tcp="11", udp="11")
    code, reason = host.do("start", hold_down="60s")
    assert code == codes.OCF_ERR_GENERIC
    assert "the backends to be alive for 60 s" in reason
    assert not host.added[1:]


# --- whose the address is ---


def test_address_of_another_resource(host: Host) -> None:
    host.do("start")
    assert host.do("probe", instance="vip2")[0] == codes.OCF_NOT_RUNNING
    code, reason = host.do("start", instance="vip2")
    assert code == codes.OCF_ERR_GENERIC
    assert "resource vip already holds 192.0.2.53" in reason
    assert host.do("stop", instance="vip2")[0] == codes.OCF_SUCCESS
    assert host.do("monitor")[0] == codes.OCF_SUCCESS


def test_a_renamed_resource_waits_for_its_former_self(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where it has another interface: what is there still is no fault of the host."""
    monkeypatch.setattr(anycast_vip, "has_interface", lambda nic: True)
    host.do("start")
    check_claim = AnycastVip.check_claim
    looks: list[str] = []

    def meanwhile(agent: AnycastVip, claim: dict[str, str]) -> None:
        looks.append(agent.context.resource)
        if len(looks) == 3:
            assert host.do("stop")[0] == codes.OCF_SUCCESS
        check_claim(agent, claim)

    monkeypatch.setattr(AnycastVip, "check_claim", meanwhile)
    assert host.do("start", instance="renamed", nic="dummy0") == (codes.OCF_SUCCESS, "")
    assert looks == ["renamed"] * 4
    assert host.addresses[1:] == [("dummy0", "192.0.2.53/32")]


def test_conflict_is_seen_by_validate_all_and_after_a_change(host: Host) -> None:
    host.do("start")
    (host.rundir / "anycast-vip-vip2.state").write_text("ip=192.0.2.54/32\nnic=lo\n")
    for action in ("validate-all", "start"):
        code, reason = host.do(action, instance="vip2", level="10")
        assert code == codes.OCF_ERR_GENERIC, action
        assert "resource vip already holds 192.0.2.53" in reason
    assert host.do("monitor")[0] == codes.OCF_SUCCESS


def test_of_two_that_start_at_once_one_gets_the_address(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one records its claim after our check_host, as if it ran beside us."""
    check_host = AnycastVip.check_host

    def meanwhile(agent: AnycastVip) -> None:
        check_host(agent)
        if agent.context.resource == "vip":
            assert host.do("start", instance="vip2")[0] == codes.OCF_SUCCESS

    monkeypatch.setattr(AnycastVip, "check_host", meanwhile)
    code, reason = host.do("start")
    assert code == codes.OCF_ERR_GENERIC
    assert "resource vip2 already holds 192.0.2.53" in reason
    assert not (host.rundir / "anycast-vip-vip.state").exists()
    assert host.do("stop")[0] == codes.OCF_SUCCESS
    assert host.do("monitor", instance="vip2")[0] == codes.OCF_SUCCESS


def test_full_run_fails_neither_monitor_nor_stop(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.do("start")
    host.table(tcp="00", udp="00")
    host.dead_for(1)
    monkeypatch.setattr(StateFile, "write", full)
    assert host.do("monitor", attribute="healthy-dns") == (codes.OCF_SUCCESS, "")
    assert host.do("stop", hold_down="1s") == (codes.OCF_SUCCESS, "")
    assert len(host.addresses) == 1
    assert "anycast-vip-vip.gate: No space left on device" in host.log.read_text()


def test_stop_without_records(host: Host) -> None:
    """Directories in their place cannot be read, by root neither; SELinux may do the same."""
    host.do("start")
    (host.rundir / "anycast-vip-vip.state").unlink()
    for name in ("vip.state", "other.state", "vip.gate"):
        (host.rundir / f"anycast-vip-{name}").mkdir()
    assert host.do("stop", hold_down="1s") == (codes.OCF_SUCCESS, "")
    assert len(host.addresses) == 1


def full(*_: object) -> None:
    """What writing to a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_address_without_an_owner_is_adopted(host: Host) -> None:
    host.addresses.append(("lo", "192.0.2.53/32"))
    assert host.do("probe")[0] == codes.OCF_SUCCESS
    assert host.do("start")[0] == codes.OCF_SUCCESS
    assert not host.added
    assert host.do("stop")[0] == codes.OCF_SUCCESS
    assert len(host.addresses) == 1


@pytest.mark.parametrize(("nic", "cidr"), [("eth0", "192.0.2.53/32"), ("lo", "192.0.2.53/24")])
def test_address_that_is_here_in_another_way(host: Host, nic: str, cidr: str) -> None:
    host.addresses.append((nic, cidr))
    code, reason = host.do("start")
    assert code == codes.OCF_ERR_GENERIC
    assert f"192.0.2.53 is already on this host as {cidr} on {nic}: remove it there first (waited " in reason
    code, reason = host.do("monitor")
    assert code == codes.OCF_NOT_RUNNING
    assert cidr in reason
    assert host.do("stop")[0] == codes.OCF_SUCCESS
    assert host.addresses[-1] == (nic, cidr)


def test_an_address_that_another_agent_takes_away_is_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """An IPaddr2 that is replaced by an anycast-vip in one change of the CIB."""
    host.addresses.append(("eth0", "192.0.2.53/24"))
    check_claim = AnycastVip.check_claim
    looks: list[str] = []

    def meanwhile(agent: AnycastVip, claim: dict[str, str]) -> None:
        looks.append(agent.context.resource)
        if len(looks) == 3:
            host.addresses.pop()
        check_claim(agent, claim)

    monkeypatch.setattr(AnycastVip, "check_claim", meanwhile)
    assert host.do("start") == (codes.OCF_SUCCESS, "")
    assert len(looks) == 4
    assert host.addresses[1:] == [("lo", "192.0.2.53/32")]


def test_another_interface_after_a_stop_that_did_not_get_to_its_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier start has left on the other one is no obstacle: the start removes it."""
    monkeypatch.setattr(anycast_vip, "has_interface", lambda nic: True)
    host.do("start")
    assert host.do("start", nic="dummy0") == (codes.OCF_SUCCESS, "")
    assert host.addresses[1:] == [("dummy0", "192.0.2.53/32")]


def test_stop_removes_what_start_put_there_even_if_the_configuration_is_rubbish_now(host: Host) -> None:
    host.do("start", nic="lo")
    assert host.do("stop", ip="rubbish;", nic="no such", gate="x")[0] == codes.OCF_SUCCESS
    assert len(host.addresses) == 1


# --- configuration ---


def test_all_faults_at_once(host: Host) -> None:
    code, reason = host.do(
        "start", ip="192.0.2.53/24", nic="lo;reboot", gate="some", services="53", min_backends="0", grace="x"
    )
    assert code == codes.OCF_ERR_CONFIGURED
    for name in ("ip", "nic", "gate", "services", "min_backends", "grace"):
        assert f"parameter {name}: " in reason


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"ip": "192.0.2.53", "services": "tcp/192.0.2.54:53"}, "tcp/192.0.2.54:53 is not on 192.0.2.53"),
        ({"ip": "192.0.2.53", "services": "fwmark6/7"}, "fwmark6/7 is not for IPv4"),
        (
            {"ip": "192.0.2.53", "allowed_prefixes": "198.51.100.0/24 2001:db8::/32"},
            "is not in allowed_prefixes",
        ),
        ({"nic": "a-very-long-interface"}, "more than 15 characters"),
        ({"ip": ""}, "parameter ip: required"),
    ],
)
def test_faults_across_parameters(host: Host, params: dict[str, str], fault: str) -> None:
    code, reason = host.do("validate-all", **params)
    assert code == codes.OCF_ERR_CONFIGURED
    assert fault in reason


@pytest.mark.parametrize("action", ["validate-all", "start"])
def test_everything_that_is_wrong_with_the_host_at_once(host: Host, action: str) -> None:
    host.prefixes.write_text("198.51.100.0/24\n")
    host.addresses.append(("lo", "192.0.2.53/24"))
    code, reason = host.do(action, nic="no-such-nic", level="10")
    assert code == codes.OCF_ERR_ARGS
    assert "192.0.2.53 is not in any of the networks" in reason
    assert "there is no network interface no-such-nic" in reason
    assert "is already on this host as 192.0.2.53/24 on lo" in reason
    assert host.do("validate-all", nic="no-such-nic") == (codes.OCF_SUCCESS, "")


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        ("# nothing yet\n", codes.OCF_SUCCESS, ""),
        ("192.0.2.0/24 # ours\n2001:db8::/32\n", codes.OCF_SUCCESS, ""),
        ("198.51.100.0/24\n", codes.OCF_ERR_ARGS, "192.0.2.53 is not in any of the networks that"),
        ("\n192.0.2.1/24\n", codes.OCF_ERR_ARGS, "line 2: '192.0.2.1/24' has host bits set"),
    ],
)
def test_allowed_prefixes_of_the_host(host: Host, content: str, code: int, sentence: str) -> None:
    host.prefixes.write_text(content)
    found, reason = host.do("start")
    assert found == code
    assert sentence in reason


# --- what spares the next monitor its interpreter ---


def noted(host: Host) -> list[str]:
    """The facts that the last monitor noted."""
    path = host.rundir / "anycast-vip-vip.shortcut"
    return path.read_text().splitlines()[1:-1] if path.exists() else []


def test_a_monitor_notes_the_address_and_its_part_of_the_table(host: Host) -> None:
    host.table(tcp="11", udp="1")
    host.do("start")
    assert host.do("monitor") == (codes.OCF_SUCCESS, "")
    assert noted(host) == [
        "address lo 192.0.2.53/32",
        "table .* C0000235:",
        "TCP  C0000235:0035 wlc  ",
        "  -> 0A000001:0035      Route   1",
        "  -> 0A000002:0035      Route   1",
        "UDP  C0000235:0035 wlc  ",
        "  -> 0A000001:0035      Route   1",
    ]
    assert host.do("monitor", gate="none") == (codes.OCF_SUCCESS, "")
    assert noted(host) == ["address lo 192.0.2.53/32"]


def test_a_gate_by_firewall_mark_notes_the_services_by_mark(host: Host) -> None:
    mark = "FWM  00000007 wlc \n  -> 0A000001:0000      Route   1      0          0\n"
    host.proc.write_text(f"{HEADING}{mark}")
    params = {"services": "fwmark/7"}
    host.do("start", **params)
    assert host.do("monitor", **params) == (codes.OCF_SUCCESS, "")
    assert noted(host) == [
        "address lo 192.0.2.53/32", "table (.* C0000235:|FWM )", "FWM  00000007 wlc ", "  -> 0A000001:0000      Route   1",
    ]  # fmt: skip


def test_a_monitor_that_finds_dead_backends_in_the_time_of_grace_notes_nothing(host: Host) -> None:
    params = {"attribute": "healthy-dns"}
    host.do("start", **params)
    host.do("monitor", **params)
    assert noted(host)
    host.table(tcp="00", udp="11")
    assert host.do("monitor", **params) == (codes.OCF_SUCCESS, "")
    assert not noted(host)


def test_a_monitor_that_had_to_ask_the_kernel_notes_nothing(host: Host) -> None:
    host.do("start")
    host.kernel = host.proc.read_text()
    host.table(tcp="00", udp="11")
    assert host.do("monitor") == (codes.OCF_SUCCESS, "")
    assert host.asked
    assert not noted(host)


def test_a_monitor_without_a_record_notes_nothing(host: Host) -> None:
    host.do("start")
    (host.rundir / "anycast-vip-vip.state").unlink()
    assert host.do("monitor") == (codes.OCF_SUCCESS, "")
    assert not noted(host)
