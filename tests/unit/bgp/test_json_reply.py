"""The JSON reader agrees with the json package."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocfpy.bgp import json_reply

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(VALUES, st.sampled_from([None, 2]), st.sampled_from(["", "\n", "\n\n  "]))
def test_reads_what_json_writes(value: object, indent: int | None, around: str) -> None:
    assert json_reply.parse(around + json.dumps(value, indent=indent) + around) == value


@settings(deadline=None)
@given(st.text(max_size=40))
def test_refuses_what_json_refuses(text: str) -> None:
    try:
        wanted = json.loads(text.strip(), strict=False)
    except ValueError:
        with pytest.raises(ValueError, match=r"JSON|line|delimiter|value|quotes|Unterminated|escape"):
            json_reply.parse(text)
    else:
        assert repr(json_reply.parse(text)) == repr(wanted)


@pytest.mark.parametrize("text", ["", "{", '{"a":', "{} {}", "% Unknown command", '{"a":1}x'])
def test_refuses_what_bgpd_says_instead_of_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|line|delimiter|value|quotes|Unterminated|escape"):
        json_reply.parse(text)


def test_a_control_character_in_a_description() -> None:
    assert json_reply.parse('{"desc":"a\tb"}') == {"desc": "a\tb"}


def test_does_not_import_what_json_imports() -> None:
    path = str(json_reply.__file__).partition("/ocfpy/")[0]
    code = "from ocfpy.bgp.json_reply import parse; parse('{\"a\": [1.5, true]}'); print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-IS", "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert not {"re", "json", "enum"} & set(done.stdout.split())
