"""What the agent writes, the daemon reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocfpy.health.expect import parse_status
from ocfpy.health.spec import CheckSettings, read_spec
from ocfpy.ipvs.model import ServiceSettings

from tests.unit.health.samples import DNS, WEB6, pool


def test_a_round_trip(tmp_path: Path) -> None:
    spec = pool(
        f"{DNS} {WEB6} fwmark6/7",
        "10.0.0.11:5353,weight=2,forward=nat,lower=3,upper=9"
        " [fd00::11],forward=tunnel,tunnel_type=gue,tunnel_port=6080",
        CheckSettings(
            "http", 8080, 0.5, 0.25, expect="re:\u00fc", status=(parse_status("200-299"), parse_status("301"))
        ),
        settings=ServiceSettings("mh", ("flag-1", "flag-2"), 300, 24, "sip", True),
        quiesce=False,
    )
    path = str(tmp_path / "x.spec")
    spec.write(path)
    assert read_spec(path) == spec
    assert (tmp_path / "x.spec").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["x.spec"]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"check": {}}', '{"check": {"status": []}, "settings": {"flags": []}}']
)
def test_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.spec"
    path.write_text(text)
    with pytest.raises(ValueError, match=r".+"):
        read_spec(str(path))


def test_checks_with_other_questions_are_other_checks() -> None:
    assert CheckSettings("dns", name="a").identity() != CheckSettings("dns", name="b").identity()
    assert CheckSettings("tcp", interval=1.0).identity() == CheckSettings("tcp", interval=2.0).identity()
