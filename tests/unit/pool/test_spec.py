"""What the agent writes, the daemon reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ocfpy.checks.settings import CheckSettings
from ocfpy.ipvs.model import ServiceSettings, parse_virtual
from ocfpy.pool.spec import SCHEMA, PoolSpec, read_spec, virtual_in, with_command_user

from tests.unit.healthd.samples import DNS, WEB6, pool


def test_a_round_trip(tmp_path: Path) -> None:
    spec = pool(
        f"{DNS} {WEB6} fwmark6/7",
        "10.0.0.11:5353,weight=2,forward=nat,lower=3,upper=9"
        " [fd00::11],forward=tunnel,tunnel_type=gue,tunnel_port=6080",
        CheckSettings(
            "http", 8080, 0.5, 0.25, expect="re:\u00fc", status="200-299 301"
        ),
        settings=ServiceSettings("mh", ("flag-1", "flag-2"), 300, 24, "sip", True),
        quiesce=False,
    )
    path = str(tmp_path / "x.spec")
    spec.write(path)
    assert read_spec(path) == spec
    assert (tmp_path / "x.spec").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["x.spec"]


def test_services_may_differ_in_everything(tmp_path: Path) -> None:
    dns, web = pool(DNS).services[0], pool(WEB6, "[fd00::11] [fd00::12],weight=3", CheckSettings("http")).services[0]
    key = list(web.reals)[1]
    web = web.replace(checks={key: CheckSettings("tcp", 8080)}, settings=ServiceSettings("sh"), quiesce=False)
    spec = PoolSpec("two", (dns, web), "healthy-two", "5s", former=(parse_virtual("fwmark/7"),))
    path = str(tmp_path / "x.spec")
    spec.write(path)
    assert read_spec(path) == spec
    assert [web.check_of(real).type for real in web.reals.values()] == ["http", "tcp"]
    assert virtual_in(path) == [DNS, WEB6, "fwmark/7"]


def test_the_services_of_another_version_are_known(tmp_path: Path) -> None:
    path = tmp_path / "x.spec"
    path.write_text('{"resource": "dns", "virtual": ["udp/192.0.2.53:53"], "check": {"type": "gone"}}')
    assert virtual_in(str(path)) == [DNS]
    for text in ("", "[]", "{}", '{"services": [{}]}'):
        path.write_text(text)
        assert virtual_in(str(path)) == []


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"version": "1"}', '{"version": "1", "services": [{"virtual": "fwmark/7", "reals": []}]}']
)
def test_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.spec"
    path.write_text(text)
    with pytest.raises(ValueError, match=r".+"):
        read_spec(str(path))


def test_the_version_before_is_read_and_the_one_after_the_next_is_refused(tmp_path: Path) -> None:
    """0.1.0 wrote its version and no schema."""
    path = tmp_path / "x.spec"
    spec = pool()
    spec.write(str(path))
    document = json.loads(path.read_text())
    del document["schema"]
    path.write_text(json.dumps({"version": "0.1.0", **document}))
    assert read_spec(str(path)) == spec
    path.write_text(json.dumps({**document, "schema": SCHEMA + 1}))
    with pytest.raises(ValueError, match=f"has schema {SCHEMA + 1}: this version reads {SCHEMA - 1} and {SCHEMA}"):
        read_spec(str(path))


def test_the_most_frequent_check_and_the_slowest_first_verdict_decide() -> None:
    (often,) = pool(check=CheckSettings("tcp", interval=1.0, timeout=0.5, fall=3)).services
    slow = CheckSettings("tcp", interval=9.0, timeout=2.5, fall=2)
    spec = PoolSpec("two", (often.replace(checks={next(iter(often.reals)): slow}),), "healthy-two")
    assert (spec.interval, spec.first_verdict_s) == (1.0, 5.0)


def test_a_user_for_commands_is_for_commands_alone() -> None:
    (service,) = pool(check=CheckSettings("external", command="/bin/true", command_user="nobody")).services
    key = next(iter(service.reals))
    service = service.replace(checks={key: CheckSettings("http")})
    (changed,) = with_command_user([service], "probe")
    assert dict(changed.check.options) == {"command": "/bin/true", "command_user": "probe"}
    assert changed.checks[key] == CheckSettings("http")
    assert with_command_user([service], "") == (service,)


def test_checks_with_other_questions_are_other_checks() -> None:
    assert CheckSettings("dns", name="a").identity() != CheckSettings("dns", name="b").identity()
    assert CheckSettings("http", bind="10.0.0.1", secret="a").identity() == CheckSettings("http", bind="10.0.0.2").identity()
    assert CheckSettings("tcp", interval=1.0).identity() == CheckSettings("tcp", interval=2.0).identity()
