"""Writes a composition for other tools: crm shell, pcs, and the Ansible role linux-system-roles.ha_cluster."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from ocfpy.services.composition import CLONE_META, PREFERENCE, TAG, Colocation, Order, Prefer, full_agent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ocfpy.services.composition import Composition, Constraint, Operation, Resource, Template

_CONTINUED = " \\\n    "


def as_crm(composition: Composition) -> str:
    """Return commands for `crm configure load update FILE`."""
    lines: list[str] = []
    for template in composition.templates:
        lines.append(_crm_primitive("rsc_template", template.id, _agent(template.agent), template))
    service = ""
    for resource in composition.resources:
        if resource.service != service:
            service = resource.service
            lines.append(f"\n# {service}")
        lines.append(_crm_primitive("primitive", resource.id, f"@{resource.template.id}", resource))
        if resource.is_cloned:
            lines.append(f"clone {resource.top} {resource.id} meta {' '.join(_crm_pairs(CLONE_META))}")
    if composition.constraints:
        lines.append("")
    lines += map(_crm_constraint, composition.constraints)
    tagged = list(composition.tagged())
    if tagged:
        lines.append(_CONTINUED.join((f"tag {TAG}", *tagged)))
    return "\n".join(lines).lstrip("\n") + "\n" if lines else ""


def as_pcs(composition: Composition) -> str:
    """Return a shell script of pcs commands, which makes one change of the CIB, or none if a command is refused.

    pcs has no templates: each resource has everything itself.
    """
    commands = list(pcs_commands(composition))
    if not commands:
        return ""
    lines = ["set -e", "cib=$(mktemp)", 'pcs cluster cib "$cib"']
    lines += [f'pcs -f "$cib" {shlex.join(words[1:])}' for words in commands]
    return "\n".join((*lines, 'pcs cluster cib-push "$cib" --config', 'rm "$cib"', ""))


def pcs_commands(composition: Composition) -> Iterator[list[str]]:
    """Return the commands, each as its words."""
    for resource in composition.resources:
        command = ["pcs", "resource", "create", resource.id, _agent(resource.agent), "--no-default-ops"]
        command += [f"{name}={value}" for name, value in resource.effective_parameters.items()]
        command.append("op")
        for action, attributes in resource.effective_operations.items():
            command += [action, *(f"{name}={value}" for name, value in attributes)]
        command += ["meta", *(f"{name}={value}" for name, value in resource.effective_meta.items())]
        yield command
        if resource.is_cloned:
            yield ["pcs", "resource", "clone", resource.id, resource.top, *(f"{k}={v}" for k, v in CLONE_META.items())]
    for constraint in composition.constraints:
        yield ["pcs", "constraint", *_pcs_constraint(constraint)]
    templates = {template.id for template in composition.templates}
    tagged = [name for name in composition.tagged() if name not in templates]
    if tagged:
        yield ["pcs", "tag", "create", TAG, *tagged]


def _pcs_constraint(constraint: Constraint) -> list[str]:
    if isinstance(constraint, Colocation):
        return ["colocation", "add", constraint.resource, "with", constraint.other, constraint.score, f"id={constraint.id}"]
    if isinstance(constraint, Order):
        return ["order", constraint.first, "then", constraint.then, f"kind={constraint.kind}", f"id={constraint.id}"]
    if isinstance(constraint, Prefer):
        return ["location", "add", constraint.id, constraint.resource, constraint.node, PREFERENCE]
    rule = _pcs_rule(constraint.attribute).split()
    return ["location", constraint.resource, "rule", f"constraint-id={constraint.id}", "score=-INFINITY", *rule]


def _pcs_rule(attribute: str) -> str:
    return f"not_defined {attribute} or {attribute} lt number 1"


def ansible_variables(composition: Composition) -> dict[str, Any]:
    """Return the variables of linux-system-roles.ha_cluster; the role knows neither templates nor tags."""
    found: dict[str, list[Any]] = {
        "ha_cluster_resource_primitives": [_ansible_primitive(resource) for resource in composition.resources],
        "ha_cluster_resource_clones": [
            {"resource_id": resource.id, "id": resource.top, "meta_attrs": _ansible_set(CLONE_META)}
            for resource in composition.resources
            if resource.is_cloned
        ],
        "ha_cluster_constraints_location": [],
        "ha_cluster_constraints_colocation": [],
        "ha_cluster_constraints_order": [],
    }
    for constraint in composition.constraints:
        kind, value = _ansible_constraint(constraint)
        found[f"ha_cluster_constraints_{kind}"].append({**value, "id": constraint.id})
    return {name: values for name, values in found.items() if values}


def as_ansible(composition: Composition) -> str:
    """Return the variables as YAML."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(ansible_variables(composition), Dumper=dumper, sort_keys=False, width=130))


def _ansible_primitive(resource: Resource) -> dict[str, Any]:
    return {
        "id": resource.id,
        "agent": _agent(resource.agent),
        "instance_attrs": _ansible_set(resource.effective_parameters),
        "meta_attrs": _ansible_set(resource.effective_meta),
        "copy_operations_from_agent": False,
        "operations": [
            {"action": action, "attrs": _ansible_list(attributes)} for action, attributes in resource.effective_operations.items()
        ],
    }


def _ansible_constraint(constraint: Constraint) -> tuple[str, dict[str, Any]]:
    if isinstance(constraint, Colocation):
        return "colocation", {
            "resource_follower": {"id": constraint.resource},
            "resource_leader": {"id": constraint.other},
            "options": _ansible_list([("score", constraint.score)]),
        }
    if isinstance(constraint, Order):
        return "order", {
            "resource_first": {"id": constraint.first},
            "resource_then": {"id": constraint.then},
            "options": _ansible_list([("kind", constraint.kind)]),
        }
    resource = {"resource": {"id": constraint.resource}}
    if isinstance(constraint, Prefer):
        return "location", {**resource, "node": constraint.node, "options": _ansible_list([("score", PREFERENCE)])}
    options = _ansible_list([("score", "-INFINITY")])
    return "location", {**resource, "rule": _pcs_rule(constraint.attribute), "options": options}


def _ansible_set(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"attrs": _ansible_list(values.items())}]


def _ansible_list(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _agent(agent: str) -> str:
    return ":".join(("ocf", *full_agent(agent)))


def _crm_primitive(command: str, name: str, kind: str, settings: Template | Resource) -> str:
    parts = [f"{command} {name} {kind}"]
    if settings.parameters:
        parts.append(" ".join(("params", *_crm_pairs(settings.parameters))))
    if settings.meta:
        parts.append(" ".join(("meta", *_crm_pairs(settings.meta))))
    for action, attributes in settings.operations.items():
        parts.append(_crm_operation(action, attributes))
    return _CONTINUED.join(parts)


def _crm_operation(action: str, attributes: Operation) -> str:
    return " ".join(("op", action, *_crm_pairs(dict(attributes))))


def _crm_pairs(values: Mapping[str, str]) -> Iterator[str]:
    return (f"{name}={_crm_quoted(value)}" for name, value in values.items())


def _crm_quoted(value: str) -> str:
    """crmsh splits its lines with Python's shlex: double quotes are enough where nothing in them has a meaning."""
    quoted = shlex.quote(value)
    return f'"{value}"' if quoted != value and not set(value) & set("\"\\'") else quoted


def _crm_constraint(constraint: Constraint) -> str:
    if isinstance(constraint, Colocation):
        score = "inf" if constraint.score == "INFINITY" else constraint.score
        return f"colocation {constraint.id} {score}: {constraint.resource} {constraint.other}"
    if isinstance(constraint, Order):
        return f"order {constraint.id} {constraint.kind}: {constraint.first} {constraint.then}"
    if isinstance(constraint, Prefer):
        return f"location {constraint.id} {constraint.resource} {PREFERENCE}: {constraint.node}"
    name = constraint.attribute
    return f"location {constraint.id} {constraint.resource} rule -inf: not_defined {name} or {name} number:lt 1"
