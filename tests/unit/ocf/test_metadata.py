"""Metadata and manual page, from one declaration."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lxml import etree
from ocfpy.ocf import manpage, metadata
from ocfpy.ocf.agent import Action, Agent
from ocfpy.ocf.parameters import IntParam, StringParam

if TYPE_CHECKING:
    import pytest

    from tests.unit.ocf.conftest import Runner, Toy


def parsed(agent: type[Agent]) -> etree._Element:
    return etree.fromstring(metadata.render(agent).encode("ascii"), etree.XMLParser(dtd_validation=True))


def test_content(toy: type[Toy]) -> None:
    root = parsed(toy)
    assert (root.get("name"), root.get("version"), root.findtext("version")) == ("toy", "1.0", "1.1")
    assert root.findtext("longdesc") == "First paragraph,\nof two lines.\n\nSecond & last <one>."
    found = {p.get("name"): p for p in root.iter("parameter")}
    assert list(found) == ["ip", "mode", "words", "low", "high"]
    assert dict(found["ip"].attrib) == {"name": "ip", "unique-group": "ip", "unique": "1", "required": "1"}
    assert found["low"].get("reloadable") == "1"
    assert [o.get("value") for o in found["mode"].iter("option")] == ["fast", "safe"]
    assert found["mode"].find("content").get("default") == "safe"
    assert found["high"].findtext("deprecated/desc") == "Use low."
    assert found["ip"].find("content").get("default") is None


def test_actions(toy: type[Toy]) -> None:
    actions = {a.get("name"): dict(a.attrib) for a in parsed(toy).iter("action")}
    assert list(actions) == [
        "start",
        "stop",
        "monitor",
        "migrate_to",
        "migrate_from",
        "validate-all",
        "meta-data",
    ]
    assert actions["monitor"] == {"name": "monitor", "timeout": "20s", "interval": "10s", "depth": "0"}


def test_reload_is_advertised_by_those_who_can(toy: type[Toy], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "actions", (*toy.actions, Action("reload-agent")))
    assert "reload-agent" not in metadata.render(toy).partition("]>")[2]
    monkeypatch.setattr(toy, "reload_agent", lambda agent, claim: None)
    assert '<action name="reload-agent"' in metadata.render(toy)


class Awkward(Agent):
    """Everything that XML and roff could stumble over."""

    name = "awkward"
    version = "1"
    shortdesc = 'quotes " and \\ <tags> & é'
    longdesc = ".SH not a request\n'nor this\n\n-dash \\fBnot bold"
    actions = (
        Action("start"),
        Action("stop"),
        Action("monitor", interval="5s", role="Promoted", start_delay="1s"),
    )
    a = IntParam("a", "A.", unique_group="pair", default=1)
    b = StringParam("b", "B.", unique_group="pair", default='<"&>')


def test_a_group_of_two_is_not_unique_one_by_one() -> None:
    for parameter in parsed(Awkward).iter("parameter"):
        assert parameter.get("unique-group") == "pair"
        assert parameter.get("unique") is None


def test_escapes() -> None:
    root = parsed(Awkward)
    assert root.findtext("shortdesc") == Awkward.shortdesc
    assert root.find("parameters/parameter[@name='b']/content").get("default") == '<"&>'
    assert root.find("actions/action[@role='Promoted']").get("start-delay") == "1s"


def test_meta_data_ignores_the_configuration(runner: Runner, toy: type[Toy]) -> None:
    assert runner("meta-data", ip="bad") == 0
    assert runner.out == metadata.render(toy)
    assert toy.calls == []


def shown(agent: type[Agent]) -> str:
    """The page as man shows it, without warnings from groff."""
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-cbou"],
        input=manpage.render(agent), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def test_manpage(toy: type[Toy]) -> None:
    text = shown(toy)
    assert text.startswith("OCF_ANYCAST_TOY(7)")
    assert "ocf_anycast_toy - a toy" in text
    assert "required, unique among resources (ip), string, no default" in " ".join(text.split())
    assert "Deprecated: Use low." in text
    assert "primitive p_toy ocf:anycast:toy \\\n" in text
    assert "op monitor timeout=20s interval=10s" in text


def test_manpage_of_awkward_text() -> None:
    text = shown(Awkward)
    assert ".SH not a request 'nor this" in " ".join(text.split())
    assert "-dash \\fBnot bold" in text
    assert '<"&>' in text
