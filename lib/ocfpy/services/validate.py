"""Validates the resources of a composition as their agents' validate-all does, without starting a process for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.ocf.context import Context
from ocfpy.services.keys import AGENTS
from ocfpy.services.problems import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocfpy.services.composition import Composition, Resource

_PARAMETER = "parameter "


def validate(composition: Composition) -> tuple[list[Problem], list[Problem]]:
    """Return the errors and the warnings of all resources of this suite's agents, with their places in the file."""
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for resource in composition.resources:
        if resource.agent in AGENTS:
            faults, doubts = judge(resource.agent, resource.id, resource.effective_parameters)
            errors += [_placed(resource, fault) for fault in faults]
            warnings += [_placed(resource, doubt) for doubt in doubts]
    return errors, warnings


def judge(agent: str, resource: str, parameters: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return what validate-all of the agent says of these parameters: its faults, and its warnings if there is none."""
    environ = {f"OCF_RESKEY_{name}": value for name, value in parameters.items()}
    environ["OCF_RESOURCE_INSTANCE"] = resource
    agent_class = AGENTS[agent]
    context = Context([agent, "validate-all"], environ, agent_class.name, agent_class.provider)
    found = agent_class(context, lenient=True)
    return found.config_errors, ([] if found.config_errors else found.config_warnings())


def _placed(resource: Resource, message: str) -> Problem:
    """The problem at the place of the parameter that it names, or of the resource.

    A parameter that stands in defaults has the same fault in every resource: it is said once, without a resource.
    """
    place = resource.position or Position()
    if message.startswith(_PARAMETER):
        name = message[len(_PARAMETER) :].partition(":")[0]
        if name in resource.positions:
            return Problem(resource.positions[name], message[len(_PARAMETER) :])
        message = message[len(_PARAMETER) :]
    return Problem(place, f"{resource.id}: {message}", resource.id)
