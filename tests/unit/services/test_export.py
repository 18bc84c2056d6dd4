"""The exports that no tool of the test suite reads: the Ansible role's variables; and what all of them quote."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ocfpy.services.check import load
from ocfpy.services.composition import Composition
from ocfpy.services.export import _crm_quoted, as_ansible, as_crm, as_pcs

from tests.unit.services.catalogues import catalogues

PRIMITIVE = {"id", "agent", "instance_attrs", "meta_attrs", "copy_operations_from_agent", "operations"}
"""The keys of ha_cluster_resource_primitives, from the README of linux-system-roles/ha_cluster."""


def pairs(values: list[dict[str, str]]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in values}


def constraints(document: dict[str, Any], kind: str) -> dict[str, Any]:
    return {one["id"]: one for one in document.get(f"ha_cluster_constraints_{kind}", [])}


@settings(max_examples=25, deadline=None)
@given(catalogues())
def test_ansible_variables_say_the_same(text: str) -> None:
    composition = load(text).composition
    document = yaml.safe_load(as_ansible(composition)) or {}
    primitives = {one["id"]: one for one in document.get("ha_cluster_resource_primitives", [])}
    assert set(primitives) == {resource.id for resource in composition.resources}
    for resource in composition.resources:
        one = primitives[resource.id]
        assert set(one) == PRIMITIVE
        assert pairs(one["instance_attrs"][0]["attrs"]) == resource.effective_parameters
        assert pairs(one["meta_attrs"][0]["attrs"]) == resource.effective_meta
        operations = {operation["action"]: pairs(operation["attrs"]) for operation in one["operations"]}
        assert operations == {action: dict(values) for action, values in resource.effective_operations.items()}
    clones = {one["id"]: one["resource_id"] for one in document.get("ha_cluster_resource_clones", [])}
    assert clones == {resource.top: resource.id for resource in composition.resources if resource.is_cloned}
    found = {**constraints(document, "location"), **constraints(document, "colocation"), **constraints(document, "order")}
    assert set(found) == {constraint.id for constraint in composition.constraints}


def test_ansible_constraints() -> None:
    document = yaml.safe_load(as_ansible(dns()))
    assert constraints(document, "location")["dns-vip4-where-alive"] == {
        "resource": {"id": "dns-vip4"},
        "rule": "not_defined healthy-dns-pool or healthy-dns-pool lt number 1",
        "options": [{"name": "score", "value": "-INFINITY"}],
        "id": "dns-vip4-where-alive",
    }
    assert constraints(document, "location")["dns-vip4-prefers"] == {
        "resource": {"id": "dns-vip4"},
        "node": "lb1",
        "options": [{"name": "score", "value": "500"}],
        "id": "dns-vip4-prefers",
    }
    assert constraints(document, "colocation")["dns-vip4-with-pool"] == {
        "resource_follower": {"id": "dns-vip4"},
        "resource_leader": {"id": "dns-pool-clone"},
        "options": [{"name": "score", "value": "INFINITY"}],
        "id": "dns-vip4-with-pool",
    }
    assert constraints(document, "order")["dns-pool-then-vip4"] == {
        "resource_first": {"id": "dns-pool-clone"},
        "resource_then": {"id": "dns-vip4"},
        "options": [{"name": "kind", "value": "Mandatory"}],
        "id": "dns-pool-then-vip4",
    }


def dns() -> Composition:
    service = "addresses: [192.0.2.53], ports: [tcp/53], real_servers: [10.0.0.1], prefer: lb1"
    return load(f"services: {{dns: {{{service}}}}}").composition


def test_nothing_of_an_empty_catalogue() -> None:
    empty = load("services: {}").composition
    assert (as_crm(empty), as_pcs(empty), yaml.safe_load(as_ansible(empty))) == ("", "", {})


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_crm_shell_reads_every_value_as_it_was(value: str) -> None:
    """crmsh 4.4 splits a command with shlex.split (crmsh/parse.py)."""
    assert shlex.split(f"name={_crm_quoted(value)}") == [f"name={value}"]


@pytest.mark.parametrize(("value", "quoted"), [("a", "a"), ("a b", '"a b"'), ('a "b"', "'a \"b\"'"), ("it's", "'it'\"'\"'s'")])
def test_how_crm_values_are_quoted(value: str, quoted: str) -> None:
    assert _crm_quoted(value) == quoted
