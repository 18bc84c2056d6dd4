"""Shows what a catalogue changes, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocfpy.services.composition import TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocfpy.services.diff import Change, Diff, ResourceDiff, ServiceDiff


def as_text(found: Diff) -> str:
    """Return the changes service by service, then what the scheduler does, one step a line."""
    if not found.has_changes:
        return "no changes\n"
    lines = [line for service in found.services for line in _service(service)]
    if found.forecast.is_blind:
        lines.append("what the cluster will do is unknown: no node is online in this CIB, which needs the status section")
    else:
        lines.append("the cluster will, in this order:" if found.forecast.steps else "the cluster will do nothing")
    lines += [f"  {step}" for step in found.forecast.steps]
    lines += [f"Pacemaker says: {complaint}" for complaint in found.forecast.complaints]
    return "".join(f"{line}\n" for line in lines)


def _service(service: ServiceDiff) -> Iterator[str]:
    name = "shared by all services" if service.name == TAG else f"service {service.name}"
    yield f"{name}: {service.state or 'no changes of its own'}"
    for part in (*service.resources, *service.constraints):
        effect = f", is {part.effect}" if part.effect else ""
        yield f"  {part.id}: {part.state}{effect}"
        for change in part.changes:
            yield f"    {change.name}: {change.old or '(unset)'} -> {change.new or '(unset)'}"
    if service.name != TAG:
        yield f"  clients notice: {service.clients}"


def as_dict(found: Diff) -> dict[str, Any]:
    """Return the same as a document for JSON."""
    return {
        "changes": found.has_changes,
        "services": [
            {
                "name": "" if service.name == TAG else service.name,
                "state": service.state or "unchanged",
                "resources": list(map(_part, service.resources)),
                "constraints": list(map(_part, service.constraints)),
                "clients": service.clients,
            }
            for service in found.services
        ],
        "complaints": list(found.forecast.complaints),
        "steps": [{"resource": step.resource, "action": step.action, "node": step.node} for step in found.forecast.steps],
    }


def _part(part: ResourceDiff) -> dict[str, Any]:
    return {"id": part.id, "state": part.state, "effect": part.effect, "changes": list(map(_change, part.changes))}


def _change(change: Change) -> dict[str, str]:
    return {"name": change.name, "old": change.old, "new": change.new}
