"""The documentation holds together: links lead somewhere, files that it names are there, and every decision is in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DECISIONS = ROOT / "docs/decisions"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
NAMED_FILE = re.compile(r"`((?:lib|bin|agents|tests|bench|packaging|docs|cib-examples)/[\w./-]*)`")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^(?: {4}|\t).*$", re.MULTILINE)
SPAN = re.compile(r"`[^`]*`")
NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


def prose(page: Path) -> str:
    """The text of a page, without its examples."""
    return INDENTED.sub("", FENCED.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """The names of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {NOT_IN_ANCHOR.sub("", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in LINK.findall(SPAN.sub("", prose(page))):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    return broken


def test_there_are_pages_and_links_to_look_at() -> None:
    assert ROOT / "docs/pool.md" in PAGES
    assert DECISIONS / "README.md" in PAGES
    assert sum(len(LINK.findall(prose(page))) for page in PAGES) > len(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing: it's here\n\n[a](page.md#one-thing-its-here) [b](page.md#two) [c](gone.md) ![d](gone.png)\n")
    assert broken_links(page) == ["page.md#two", "gone.md", "gone.png"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_are_there(page: Path) -> None:
    assert [name for name in NAMED_FILE.findall(prose(page)) if "NAME" not in name and not (ROOT / name).exists()] == []


INSTALLED = re.compile(r"/usr/share/doc/ocf-anycast/((?:cib-)?examples)/([\w.-]+)")
SOURCES = {"examples": "docs/examples", "cib-examples": "cib-examples"}
"""Where `make install` takes what is in these directories of the package from."""


def test_files_of_the_package_that_are_named_are_installed() -> None:
    named = {found for page in PAGES for found in INSTALLED.findall(page.read_text())}
    assert named
    assert [name for kind, name in named if not (ROOT / SOURCES[kind] / name).exists()] == []


def test_every_decision_is_in_the_index() -> None:
    index = LINK.findall((DECISIONS / "README.md").read_text())
    assert index == sorted(page.name for page in DECISIONS.glob("*.md") if page.name != "README.md")


@pytest.mark.parametrize("page", sorted(DECISIONS.glob("0*.md")), ids=lambda page: page.name)
def test_a_decision_has_its_parts(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.name[:4]}: ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Alternatives", "Consequences"]


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page not in seen:
            seen.add(page)
            targets = (target.partition("#")[0] for target in LINK.findall(prose(page)))
            todo += [(page.parent / target).resolve() for target in targets if target.endswith(".md") and "://" not in target]
    assert set(PAGES) - seen == set()
