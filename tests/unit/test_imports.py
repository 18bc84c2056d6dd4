"""The library's modules import each other in one direction and in no circle, imports for type checkers included."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

LIB = Path(__file__).resolve().parents[2] / "lib"
LAYERS = (
    {"cli"}, {"services"}, {"agents"}, {"healthd"}, {"ldirectord"}, {"pool"}, {"checks", "bgp"}, {"ipvs"}, {"net"}, {"ocf"},
)  # fmt: skip
"""The packages, uppermost first: one imports what is in its own layer and below."""
ALONE = {"testkit": {"ocf", "testkit"}}
"""Packages beside the layers, and all that they import. Nothing of a layer imports them."""

Graph = dict[str, set[str]]


@cache
def graph() -> Graph:
    """The modules of the library, each with those that it imports anywhere in it."""
    sources = {_name(path): ast.parse(path.read_text()) for path in LIB.rglob("*.py")}
    return {name: _imported(tree, set(sources)) - {name} for name, tree in sources.items()}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(LIB).with_suffix("").parts).removesuffix(".__init__")


def _imported(tree: ast.Module, modules: set[str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            # The package itself only where something of it is meant that is no module.
            found.update(name if name in modules else node.module or "" for name in submodules)
    return found & modules


def upward(imports: Mapping[str, set[str]]) -> list[str]:
    """Which imports go against the direction."""
    rank = {package: number for number, layer in enumerate(LAYERS) for package in layer}
    found = []
    for module, imported in imports.items():
        own = _package(module)
        for other in sorted(imported):
            package = _package(other)
            allowed = package in ALONE[own] if own in ALONE else package in rank and rank[package] >= rank[own]
            if package and not allowed:
                found.append(f"{module} imports {other}")
    return sorted(found)


def _package(module: str) -> str:
    """The package that decides, "" for the library's own __init__, which all may import."""
    return [*module.split("."), ""][1]


def circles(imports: Mapping[str, set[str]]) -> list[str]:
    """One circle of imports for each module that closes one."""
    found: list[str] = []
    done: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> None:
        if module in path:
            found.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in done:
            path.append(module)
            for other in sorted(imports[module]):
                visit(other)
            path.pop()
            done.add(module)

    for module in sorted(imports):
        visit(module)
    return found


def test_every_package_has_its_place() -> None:
    known = {"", *ALONE, *(package for layer in LAYERS for package in layer)}
    assert {_package(module) for module in graph()} <= known
    assert len(graph()) > 100
    assert "ocfpy.ocf.agent" in graph()["ocfpy.agents.anycast_vip"]


def test_imports_go_one_way() -> None:
    assert upward({module: imported for module, imported in graph().items() if _package(module)}) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(graph()) == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("ocfpy.ocf.agent", "ocfpy.net.arp"),
        ("ocfpy.agents.ipvs_pool", "ocfpy.services.check"),
        ("ocfpy.services.check", "ocfpy.cli.main"),
        ("ocfpy.checks.base", "ocfpy.healthd.vip_probe"),
        ("ocfpy.ipvs.table", "ocfpy.bgp.vty"),
        ("ocfpy.testkit.rules", "ocfpy.net.arp"),
        ("ocfpy.ocf.agent", "ocfpy.testkit.rules"),
    ],
)
def test_an_import_against_the_direction_is_found(module: str, imported: str) -> None:
    assert upward({module: {"ocfpy", module, imported}}) == [f"{module} imports {imported}"]


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b -> c -> b"]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_imports_of_every_kind_are_seen() -> None:
    tree = ast.parse(
        "import ocfpy.a\n"
        "from ocfpy import b\n"
        "from ocfpy.c import name\n"
        "if TYPE_CHECKING:\n    from ocfpy.d import Name\n"
        "def function():\n    from ocfpy.e import name\n"
    )
    modules = {"ocfpy", *(f"ocfpy.{letter}" for letter in "abcdef")}
    assert _imported(tree, modules) == modules - {"ocfpy", "ocfpy.f"}
