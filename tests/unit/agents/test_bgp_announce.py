"""bgp-announce against a bgpd of a few lines: each verdict has its sentence, nothing passes unparsed."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ocfpy.agents import bgp_announce
from ocfpy.agents.bgp_announce import BgpAnnounce
from ocfpy.agents.bgp_announce_parameters import parse_peer
from ocfpy.bgp.announcer import Announcer
from ocfpy.bgp.errors import BgpdDead, BgpdHung, CommandRefused
from ocfpy.net import prefixes
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.dispatch import main
from ocfpy.ocf.state import StateFile


class FakeBgpd:
    """Keeps `network` statements and shows them as bgpd would; stands in for the Vty that the agent makes."""

    def __init__(self) -> None:
        self.statements: dict[str, str] = {}
        self.lines: list[str] = []
        self.error: Exception | None = None
        self.path_extra: dict[str, Any] = {}
        self.told = ["10.1.0.1"]
        self.modes: dict[str, str] = {}
        self.neighbor: dict[str, Any] = {"bgpState": "Established", "bgpTimerHoldTimeMsecs": 9000, "bgpTimerUpMsec": 60000}
        self.running_config = "router bgp 65010\n bgp router-id 10.1.0.11\nexit\n"
        self.peers: dict[str, dict[str, Any]] = {"10.1.0.1": {"state": "Established"}}
        self.strays: list[str] = []
        self.export: dict[str, Any] = {"routeMapForOutgoingAdvertisements": "OUT"}
        self.unsent = False
        self.here = True

    def __call__(self, path: str, deadline: Deadline) -> FakeBgpd:
        return self

    path = "/run/frr/bgpd.vty"

    def exists(self) -> bool:
        return True

    def show(self, command: str) -> str:
        if self.error:
            raise self.error
        return self.running_config if command == "show running-config" else json.dumps(self._reply(command.split()))

    def _reply(self, words: list[str]) -> object:
        if words[-2] == "summary":
            return {"ipv4Unicast": {"as": 65010, "peers": self.peers}}
        if words[-2] == "neighbors":
            modes = self.modes or dict.fromkeys(self.peers, "Helper*")
            families = {"ipv4Unicast": self.export, "ipv6Unicast": self.export}
            common = {"addressFamilyInfo": families, **self.neighbor}
            return {name: {"gracefulRestartInfo": {"localGrMode": mode}, **common} for name, mode in modes.items()}
        if words[-2] == "advertised-routes":
            sent = [*([] if self.unsent else self.statements), *self.strays]
            return {"advertisedRoutes": {prefix: {} for prefix in sent}}
        if words[:2] == ["show", "route-map"]:
            return {"KNOWN": {}}
        if words[-2] not in self.statements:
            return {}
        path = {
            "local": True,
            "sourced": True,
            "valid": True,
            "bestpath": {"overall": True},
            **self.path_extra,
        }
        return {"paths": [path], "advertisedTo": {name: {} for name in self.told}}

    def configure(self, lines: Iterable[str]) -> None:
        if self.error:
            raise self.error
        taken = list(lines)
        self.lines += taken
        words = taken[-1].split()
        if words[0] == "network":
            self.statements[words[1]] = " ".join(words[2:])
        elif self.statements.pop(words[2], None) is None:
            raise CommandRefused(taken[-1], 13, "% Can't find static route specified")


@pytest.fixture
def bgpd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBgpd:
    fake = FakeBgpd()
    monkeypatch.setattr(bgp_announce, "Vty", fake)
    monkeypatch.setattr(bgp_announce, "find_address", lambda address: ["lo"] if fake.here else [])
    monkeypatch.setattr(
        bgp_announce,
        "check_allowed",
        lambda prefix, nets: prefixes.check_allowed(prefix, nets, "/nonexistent"),
    )
    monkeypatch.setattr(BgpAnnounce, "_check_installed", lambda self: None)
    monkeypatch.setenv("HA_RSCTMP", str(tmp_path))
    return fake


class Resource:
    """Runs actions in this process, with parameters as Pacemaker passes them."""

    def __init__(self, rundir: Path, capfd: pytest.CaptureFixture[str], **parameters: str) -> None:
        self.parameters = {
            "prefix": "192.0.2.53",
            "allowed_prefixes": "192.0.2.0/24",
            "settle": "0",
            **parameters,
        }
        self.rundir = rundir
        self.capfd = capfd
        self.instance = "bgp"
        self.reason = ""
        self.environ: dict[str, str] = {}

    def run(self, action: str, interval: str = "", timeout: str = "3000", level: str = "") -> int:
        environ = {
            "HA_RSCTMP": str(self.rundir),
            "HA_LOGFACILITY": "none",
            "OCF_RESOURCE_INSTANCE": self.instance,
            "OCF_RESKEY_CRM_meta_timeout": timeout,
            "OCF_RESKEY_CRM_meta_interval": interval,
            "OCF_CHECK_LEVEL": level,
            **{f"OCF_RESKEY_{name}": value for name, value in self.parameters.items()},
            **self.environ,
        }
        code = main(BgpAnnounce, ["bgp-announce", action], environ)
        said = [
            line for line in self.capfd.readouterr().err.splitlines() if line.startswith("ocf-exit-reason:")
        ]
        assert len(said) <= 1, said
        self.reason = said[0].partition(":")[2] if said else ""
        return code

    def monitor(self) -> int:
        return self.run("monitor", interval="5000")


@pytest.fixture
def resource(bgpd: FakeBgpd, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Resource:
    return Resource(tmp_path, capfd)


def test_lifecycle(bgpd: FakeBgpd, resource: Resource) -> None:
    assert resource.run("monitor") == 7
    assert resource.run("start") == 0
    assert bgpd.statements == {"192.0.2.53/32": ""}
    assert resource.monitor() == 0
    assert resource.run("stop") == 0
    assert bgpd.statements == {}
    assert resource.run("stop") == 0
    assert set(bgpd.lines) == {"router bgp", FAMILIES[0], "network 192.0.2.53/32", "no network 192.0.2.53/32"}


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ({"here": False}, "is not on this node"),
        ({"path_extra": {"valid": False}}, "check zebra"),
        ({"path_extra": {"bestpath": {}}}, "from a neighbor"),
        (
            {"told": []},
            "10.1.0.1 has an export policy (route-map OUT) that denies it: 192.0.2.53/32 is advertised to 0 peers, min_peers is",
        ),
        (
            {
                "told": [],
                "peers": {"10.1.0.1": {"state": "Active"}},
                "neighbor": {
                    "lastResetDueTo": "BGP Notification received",
                    "lastNotificationReason": "Cease/Maximum Number of Prefixes Reached",
                },
            },
            "Reached); raise the maximum-prefix of the router that ended the session",
        ),
        ({"error": BgpdHung("bgpd hangs")}, "may keep the route"),
    ],
)
def test_failures_have_a_sentence(
    bgpd: FakeBgpd, resource: Resource, trouble: dict[str, Any], sentence: str
) -> None:
    assert resource.run("start") == 0
    vars(bgpd).update(trouble)
    assert resource.monitor() == 1
    assert sentence in resource.reason
    assert resource.run("monitor") == 1, "a probe must not say stopped either"


def test_dead_bgpd_is_a_stopped_resource(bgpd: FakeBgpd, resource: Resource) -> None:
    assert resource.run("start") == 0
    bgpd.error = BgpdDead("bgpd does not run")
    assert resource.monitor() == 7
    assert resource.run("monitor") == 7
    assert resource.run("stop") == 0


def test_stop_undoes_what_was_started_even_if_the_parameters_changed(
    bgpd: FakeBgpd, resource: Resource
) -> None:
    assert resource.run("start") == 0
    resource.parameters.update(prefix="not an address", settle="soon", vrf="red blue")
    assert resource.monitor() == 6
    assert resource.run("stop") == 0
    assert bgpd.statements == {}


def test_changed_prefix_does_not_leave_the_old_one(bgpd: FakeBgpd, resource: Resource) -> None:
    assert resource.run("start") == 0
    resource.parameters["prefix"] = "192.0.2.54"
    assert resource.run("start") == 0
    assert list(bgpd.statements) == ["192.0.2.54/32"]


def test_one_resource_announces_a_prefix(
    bgpd: FakeBgpd, resource: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one starts while this one waits for bgpd, and stays; validate-all says so at once."""
    other = Resource(resource.rundir, resource.capfd)
    other.instance = "other"
    waits = BgpAnnounce._check_instance

    def meanwhile(agent: BgpAnnounce, announcer: Announcer) -> None:
        waits(agent, announcer)
        if agent.context.resource == "bgp":
            assert other.run("start") == 0

    monkeypatch.setattr(BgpAnnounce, "_check_instance", meanwhile)
    assert resource.run("start", timeout="2000") == 1
    assert resource.reason.startswith("resource other already announces 192.0.2.53/32: remove one of the two (")
    assert "/bgp-announce-other.state) (waited" in resource.reason
    bgpd.error = BgpdDead("bgpd does not run")
    assert resource.run("validate-all", level="10") == 1
    assert resource.reason.endswith("/bgp-announce-other.state)")
    assert resource.run("stop") == 0
    bgpd.error = None
    assert other.monitor() == 0


def test_a_renamed_resource_waits_for_its_former_self(
    bgpd: FakeBgpd, resource: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resource.run("start") == 0
    renamed = Resource(resource.rundir, resource.capfd)
    renamed.instance = "renamed"
    check_claim = BgpAnnounce.check_claim
    looks: list[str] = []

    def meanwhile(agent: BgpAnnounce, claim: dict[str, str]) -> None:
        looks.append(agent.context.resource)
        if len(looks) == 3:
            assert resource.run("stop") == 0
            assert bgpd.statements == {}
        check_claim(agent, claim)

    monkeypatch.setattr(BgpAnnounce, "check_claim", meanwhile)
    assert renamed.run("start") == 0
    assert looks == ["renamed"] * 4
    assert bgpd.statements == {"192.0.2.53/32": ""}
    assert resource.run("monitor") == 7
    assert resource.run("stop") == 0, "and once more takes nothing from the other one"
    assert renamed.monitor() == 0


def test_full_run_does_not_keep_stop_from_withdrawing(
    bgpd: FakeBgpd, resource: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource.parameters.update(drain_route_map="KNOWN", drain_time="1s")
    assert resource.run("start") == 0

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StateFile, "write", full)
    assert resource.run("stop") == 0
    assert bgpd.statements == {}
    assert "network 192.0.2.53/32 route-map KNOWN" not in bgpd.lines


def test_record_of_a_version_that_knew_less(bgpd: FakeBgpd, resource: Resource) -> None:
    assert resource.run("start") == 0
    record = resource.rundir / "anycast/bgp-announce-bgp.state"
    for text in ("", "prefix=192.0.2.53/32\n"):
        record.write_text(text)
        assert resource.monitor() == 0
        assert resource.run("monitor") == 0
    assert resource.run("stop") == 0
    assert bgpd.statements == {}


def test_graceful_restart_is_refused(bgpd: FakeBgpd, resource: Resource) -> None:
    bgpd.modes = {"10.1.0.1": "Restart*", "10.1.0.2": "Helper*"}
    assert resource.run("start") == 2
    assert "towards 10.1.0.1:" in resource.reason
    assert bgpd.lines == []


def test_graceful_restart_switched_on_later_is_told(bgpd: FakeBgpd, resource: Resource) -> None:
    assert resource.run("start") == 0
    bgpd.modes = {"10.1.0.1": "Restart"}
    assert resource.monitor() == 0
    assert resource.run("monitor", interval="60000", level="10") == 190
    assert "graceful restart" in resource.reason


def test_import_check_off_is_refused(bgpd: FakeBgpd, resource: Resource) -> None:
    bgpd.running_config = "router bgp 65010\n no bgp network import-check\nexit\n"
    assert resource.run("start") == 2
    assert "import-check" in resource.reason
    assert bgpd.lines == []


def test_what_is_slow_is_a_line_in_the_log(bgpd: FakeBgpd, resource: Resource, tmp_path: Path) -> None:
    bgpd.neighbor = {"bgpTimerConfiguredHoldTimeMsecs": 180000, "minBtwnAdvertisementRunsTimerMsecs": 30000}
    resource.environ["HA_LOGFILE"] = str(tmp_path / "log")
    assert resource.run("start") == 0
    warnings = [line for line in (tmp_path / "log").read_text().splitlines() if "WARNING" in line]
    assert ["up to 30 s late" in line for line in warnings] == [True, False]
    assert ["for 180 s after a power cut" in line for line in warnings] == [False, True]


@pytest.mark.parametrize(
    ("trouble", "code", "sentence"),
    [
        ({}, 0, ""),
        ({"running_config": "router bgp 65010\n no bgp network import-check\n"}, 190, "import-check"),
        ({"strays": ["10.0.0.0/8", "0.0.0.0/0"]}, 190, "10.1.0.1 is sent 10.0.0.0/8 0.0.0.0/0, outside"),
        ({"strays": ["192.0.2.7/32"]}, 0, ""),
        ({"strays": [f"10.0.{n}.0/24" for n in range(9)]}, 190, "10.0.3.0/24 ..., outside"),
        ({"unsent": True}, 1, "10.1.0.1 has not been sent it yet"),
        ({"peers": {"10.1.0.1": {"state": "Established", "pfxSnt": 900000}}}, 190, "900000 prefixes"),
        (
            {"peers": {"10.1.0.1": {"state": "Established"}, "10.1.0.2": {"state": "Active"}}},
            190,
            "10.1.0.2 Active: 192.0.2.53/32 is not advertised there",
        ),
        ({"peers": {"10.1.0.1": {"state": "Established"}, "10.1.0.2": {"state": "Idle (Admin)"}}}, 0, ""),
    ],
)
def test_deep_monitor(bgpd: FakeBgpd, resource: Resource, trouble: dict[str, Any], code: int, sentence: str) -> None:
    assert resource.run("start") == 0
    vars(bgpd).update(trouble)
    assert resource.monitor() == 0, "what is checked every few seconds is in order"
    assert resource.run("monitor", interval="60000", level="10") == code, resource.reason
    assert sentence in resource.reason


def test_reload_to_a_route_map_that_is_not_there(bgpd: FakeBgpd, resource: Resource) -> None:
    assert resource.run("start") == 0
    resource.parameters["route_map"] = "NOPE"
    assert resource.run("reload-agent") == 2
    assert bgpd.statements == {"192.0.2.53/32": ""}
    resource.parameters["route_map"] = "KNOWN"
    assert resource.run("reload-agent") == 0
    assert bgpd.statements == {"192.0.2.53/32": "route-map KNOWN"}


def test_all_errors_of_a_configuration(resource: Resource) -> None:
    resource.parameters.update(
        prefix="203.0.113.1", min_peers="3", peers="10.1.0.1 10.1.0.2", settle="1h", route_map="a b"
    )
    assert resource.run("validate-all") == 6
    for fault in ("settle", "route_map", "outside", "min_peers is 3"):
        assert fault in resource.reason


@pytest.mark.parametrize("action", ["validate-all", "monitor"])
def test_level_zero_touches_nothing(bgpd: FakeBgpd, resource: Resource, action: str) -> None:
    bgpd.error = AssertionError("bgpd was asked")
    if action == "validate-all":
        assert resource.run(action) == 0
    resource.parameters["prefix"] = ""
    assert resource.run(action) == (6 if action == "validate-all" else 7)


@pytest.mark.parametrize(
    ("text", "name"),
    [("10.1.0.1", "10.1.0.1"), ("2001:DB8:0::1", "2001:db8::1"), ("eth0.7", "eth0.7"), ("swp1", "swp1"),
     ("7", "7"), ("7.100", "7.100"),
     ("eth0@if7", "eth0@if7"), ("größe", "größe"), ("RR-CLIENTS", "RR-CLIENTS")],
)
def test_peer(text: str, name: str) -> None:
    assert parse_peer(text) == name


@pytest.mark.parametrize("text", ["10.1.0.1/32x", "fe80::1%eth0", "a;b", "10.1.0", "a b", "a?", "a|b", "\u00a0", "a/b"])
def test_an_invalid_peer(text: str) -> None:
    with pytest.raises(ValueError, match=r"is neither|is not an IP|prefix length"):
        parse_peer(text)


PIECES = st.sampled_from(
    [
        *("192.0.2.53", "192.0.2.1", "/32", "2001:db8::53", "/128", "::ffff:", "0", "٣", "%", ".", "/"),
        *("\n", "\r", "\0", "\t", "\u2028", "\x85", ";", " ", "!", "|", "?"),
        *("no ", "network ", "route-map X", "end", "write memory", "router bgp 1"),
    ]
)
FAMILIES = ("address-family ipv4 unicast", "address-family ipv6 unicast")
HOSTILE = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=40)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prefix=HOSTILE, route_map=st.just("") | HOSTILE, vrf=st.just("") | HOSTILE)
@example("192.0.2.53/32\nrouter bgp 65000", "", "")
@example("192.0.2.53/32 route-map X", "", "")
@example("192.0.2.53", "KNOWN\nend\nwrite memory", "")
@example("::ffff:192.0.2.53", "", "")
def test_nothing_reaches_bgpd_unparsed(
    bgpd: FakeBgpd, resource: Resource, prefix: str, route_map: str, vrf: str
) -> None:
    """With any parameters, bgpd gets canonical statements of host routes in the allowed subnets, or
    nothing.
    """
    bgpd.lines.clear()
    resource.parameters.update(
        prefix=prefix,
        route_map=route_map,
        vrf=vrf,
        allowed_prefixes="192.0.2.0/24 2001:db8::/64",
        min_peers="0",
    )
    codes = [resource.run(action, timeout="1000") for action in ("start", "monitor", "stop", "monitor")]
    assert codes[2] == 0
    assert codes[3] == 7
    assert bgpd.statements == {}
    for line in bgpd.lines:
        if line in ("router bgp", f"router bgp 65010 vrf {vrf}") or line in FAMILIES:
            continue
        words = line.split(" ")
        network = ipaddress.ip_network(words[words.index("network") + 1])
        assert network.num_addresses == 1
        assert any(
            network.version == subnet.version and network.network_address in subnet
            for subnet in (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/64"))
        )
        assert line in (f"network {network}", f"no network {network}", f"network {network} route-map KNOWN")
