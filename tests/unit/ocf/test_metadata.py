"""Metadata and manual page, from one declaration."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lxml import etree
from ocfpy.ocf import manpage, metadata
from ocfpy.ocf.agent import Action, Agent
from ocfpy.ocf.parameters import IntParam, StringParam

if TYPE_CHECKING:
    from pathlib import Path

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
    actions: tuple[Action, ...] = (
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
    flat = " ".join(text.split())
    assert "ip address (required; address; unique) The address." in flat
    assert "mode mode (one of fast, safe; default safe) How." in flat
    assert "low low (integer, at least 0; default 1; reloadable) The least." in flat
    assert "Deprecated: Use low." in text
    assert "primitive p_toy ocf:anycast:toy \\\n" in text
    assert "op monitor timeout=20s interval=10s" in text
    assert text.count("meta allow-migrate=true") == 2


class Promotable(Awkward):
    actions = (
        *(Action(name) for name in ("start", "stop", "promote", "demote", "notify")),
        Action("monitor", interval="10s", depth=0, role="Unpromoted"),
        Action("monitor", interval="11s", depth=0, role="Promoted"),
        Action("monitor", interval="60s", depth=10),
    )
    example = {"a": "7", "b": "two words"}
    is_clone = True
    see_also = ("awkward(8)",)


def test_the_examples_of_a_manpage_are_complete() -> None:
    """Every monitor that is advertised, since Pacemaker runs no other; and a clone where it has to be one."""
    text = shown(Promotable)
    for line, times in (
        ("op promote timeout=20s", 2),
        ("op monitor timeout=20s interval=10s role=Unpromoted", 2),
        ("op monitor timeout=20s interval=11s role=Promoted", 2),
        ("op monitor timeout=20s interval=60s OCF_CHECK_LEVEL=10", 2),
        ('a=7 b="two words"', 2),
        ("clone c_awkward p_awkward meta interleave=true promotable=true notify=true\n", 1),
        ("  clone interleave=true promotable=true notify=true\n", 1),
        ("awkward(8), crm(8)", 1),
    ):
        assert text.count(line) == times, line
    assert "integer; default 1; unique together with the others of pair" in " ".join(text.split())


def test_manpage_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An agent's file has no suffix, and cannot be imported."""
    (tmp_path / "agent").write_text(
        "from ocfpy.ocf.agent import Agent\n\nclass Mine(Agent):\n"
        "    name = version = shortdesc = longdesc = 'mine'\n    actions = ()\n\nassert __name__ != '__main__'\n"
    )
    assert manpage.main(["manpage", str(tmp_path / "agent")]) == 0
    assert "ocf_ocfpy_mine" in capsys.readouterr().out


def test_manpage_of_awkward_text() -> None:
    text = shown(Awkward)
    assert ".SH not a request 'nor this" in " ".join(text.split())
    assert "-dash \\fBnot bold" in text
    assert '<"&>' in text
