"""Renders an agent's declaration as a manual page of section 7: python3 -m ocfpy.ocf.manpage MODULE:CLASS."""

from __future__ import annotations

import sys
from importlib import import_module

from ocfpy.ocf.agent import Action, Agent
from ocfpy.ocf.metadata import paragraphs
from ocfpy.ocf.parameters import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def render(agent_class: type[Agent]) -> str:
    """Return the page as roff, for man(1) and groff -man."""
    page = f"ocf_{agent_class.provider}_{agent_class.name}"
    agent = f"ocf:{agent_class.provider}:{agent_class.name}"
    lines = [
        f'.TH {_quoted(page.upper())} 7 "" {_quoted(f"{agent} {agent_class.version}")} "OCF resource agents"',
        # A parameter or a path that was hyphenated cannot be searched for, nor copied.
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{_text(page)} \\- {_text(agent_class.shortdesc)}",
        ".SH SYNOPSIS",
        f"\\fB{_text(agent_class.name)}\\fP " + " | ".join(_text(a.name) for a in _named_once(agent_class)),
        ".SH DESCRIPTION",
        *_body(agent_class.longdesc),
        ".SH SUPPORTED PARAMETERS",
        *(line for parameter in agent_class.parameters() for line in _parameter(parameter)),
        ".SH SUPPORTED ACTIONS",
        *(line for action in agent_class.advertised_actions() for line in _action(action)),
        ".SH EXAMPLE CRM SHELL",
        *_crm_example(agent_class, agent),
        ".SH EXAMPLE PCS",
        *_pcs_example(agent_class, agent),
        ".SH SEE ALSO",
        "\\fBcrm\\fP(8), \\fBpcs\\fP(8), \\fBcrm_resource\\fP(8)",
    ]
    return "\n".join(lines) + "\n"


def _named_once(agent_class: type[Agent]) -> list[Action]:
    return list({action.name: action for action in agent_class.advertised_actions()}.values())


def _parameter(parameter: Parameter[Any]) -> list[str]:
    facts = [
        "required" if parameter.required else "optional",
        f"unique among resources ({parameter.unique_group})" if parameter.unique_group else "",
        f"one of {', '.join(parameter.choices)}" if parameter.choices else parameter.content_type,
        f"default {parameter.default_text}" if parameter.default_text is not None else "no default",
        "can be changed without a restart" if parameter.reloadable else "",
    ]
    instead = parameter.deprecated or f"use {parameter.replaced_by}."
    deprecated = [".sp", *_body(f"Deprecated: {instead}")] if parameter.is_deprecated else []
    return [
        ".TP",
        f"\\fB{_text(parameter.name)}\\fP",
        f"\\fI{_text(parameter.shortdesc)}\\fP ({_text(', '.join(filter(None, facts)))})",
        *deprecated,
        ".sp",
        *_body(parameter.longdesc),
    ]


def _action(action: Action) -> list[str]:
    facts = [
        f"suggested timeout {action.timeout}",
        f"suggested interval {action.interval}" if action.interval else "",
        f"check level {action.depth}" if action.depth is not None else "",
        f"role {action.role}" if action.role else "",
    ]
    return [".TP", f"\\fB{_text(action.name)}\\fP", _text(", ".join(filter(None, facts)))]


def _crm_example(agent_class: type[Agent], agent: str) -> list[str]:
    words = [f"{parameter.name}=..." for parameter in agent_class.parameters() if parameter.required]
    params = [f"  params {' '.join(words)}"] if words else []
    return _command([f"primitive p_{agent_class.name} {agent}", *params, *_operations(agent_class)])


def _pcs_example(agent_class: type[Agent], agent: str) -> list[str]:
    words = [f"{parameter.name}=..." for parameter in agent_class.parameters() if parameter.required]
    create = " ".join([f"pcs resource create p_{agent_class.name} {agent}", *words])
    return _command([create, *_operations(agent_class)])


def _operations(agent_class: type[Agent]) -> list[str]:
    return [
        " ".join([f"  op {a.name} timeout={a.timeout}", *([f"interval={a.interval}"] if a.interval else [])])
        for a in _named_once(agent_class)
        if a.name in ("start", "stop", "monitor")
    ]


def _command(lines: list[str]) -> list[str]:
    """Show one command on several lines, as a shell would take it."""
    return [".nf", *(_text(f"{line} \\") for line in lines[:-1]), _text(lines[-1]), ".fi"]


def _body(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in paragraphs(text):
        lines += [".sp", *(_text(line) for line in paragraph.split("\n"))]
    return lines[1:]


def _text(text: str) -> str:
    """Return text that roff prints as it is: no escapes, no requests, and hyphens that can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _quoted(text: str) -> str:
    return '"' + _text(text).replace('"', "\\(dq") + '"'


def main(argv: list[str]) -> int:
    """Print the page of the agent that argv names as MODULE:CLASS."""
    module, _, name = argv[1].partition(":")
    sys.stdout.write(render(getattr(import_module(module), name)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
