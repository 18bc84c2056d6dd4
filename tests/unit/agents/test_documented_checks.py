"""docs/checks.md says what there is, and its examples are taken as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.checks.registry import NAMES, TLS, TYPES
from ocfpy.ocf.context import Context

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "checks.md"
SECTIONS = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", DOCUMENT.read_text(), re.MULTILINE))
BY_TYPE = {name: text for heading, text in SECTIONS.items() for name in heading.split(", ") if name in NAMES}
COMMON = {"bind", "via", "starttls", *TLS}
EXAMPLES = [line.strip() for text in SECTIONS.values() for line in text.splitlines() if line.startswith("    check=")]


@pytest.mark.parametrize("name", NAMES)
def test_a_type_is_described_with_its_parameters_and_an_example(name: str) -> None:
    text = BY_TYPE[name]
    assert re.search(rf"^    check={name}( |$)", text, re.MULTILINE)
    missing = [option for option in TYPES[name].options if option not in COMMON and f"check_{option}" not in text]
    assert missing == []


def test_what_is_common_is_described() -> None:
    text = SECTIONS["What holds for all of them"]
    assert [option for option in COMMON if f"check_{option}" not in text] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_taken(example: str, tmp_path: Path) -> None:
    given = dict(word.split("=", 1) for word in shlex.split(example))
    environment = {
        "OCF_RESOURCE_INSTANCE": "pool",
        "HA_RSCTMP": str(tmp_path),
        "HA_LOGFACILITY": "none",
        **{f"OCF_RESKEY_{name}": value for name, value in given.items()},
        "OCF_RESKEY_virtual": "tcp/192.0.2.53:53",
        "OCF_RESKEY_real_servers": "10.0.0.11",
    }
    pool = IpvsPool(Context(["ipvs-pool", "validate-all"], environment, "ipvs-pool"), lenient=False)
    assert pool.check_config() == []
    assert pool.build.check_settings().type == given["check"]
