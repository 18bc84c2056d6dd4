"""Renders an agent's declaration as a manual page of section 7: python3 -m ocfpy.ocf.manpage AGENT, a file or MODULE:CLASS."""

from __future__ import annotations

import runpy
import sys
from importlib import import_module

from ocfpy.ocf.agent import Action, Agent
from ocfpy.ocf.metadata import paragraphs
from ocfpy.ocf.parameters import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_TIMED = ("start", "stop", "monitor", "promote", "demote")


def render(agent_class: type[Agent]) -> str:
    """Return the page as roff, for man(1) and groff -man."""
    page = f"ocf_{agent_class.provider}_{agent_class.name}"
    agent = f"ocf:{agent_class.provider}:{agent_class.name}"
    parameters, actions = agent_class.parameters(), agent_class.advertised_actions()
    groups = [parameter.unique_group for parameter in parameters]
    lines = [
        f'.TH {_quoted(page.upper())} 7 "" {_quoted(f"{agent} {agent_class.version}")} "OCF resource agents"',
        # A hyphenated parameter or path can be neither searched for nor copied.
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{_text(page)} \\- {_text(agent_class.shortdesc)}",
        ".SH SYNOPSIS",
        f"\\fB{_text(agent_class.name)}\\fP " + " | ".join(map(_text, dict.fromkeys(action.name for action in actions))),
        ".SH DESCRIPTION",
        *_body(agent_class.longdesc),
        ".SH SUPPORTED PARAMETERS",
        *_preface(agent_class),
        *(line for parameter in parameters for line in _parameter(parameter, groups)),
        ".SH SUPPORTED ACTIONS",
        *(line for action in actions for line in _action(action)),
        ".SH EXAMPLE CRM SHELL",
        *_crm_example(agent_class, agent),
        ".SH EXAMPLE PCS",
        *_pcs_example(agent_class, agent),
        ".SH SEE ALSO",
        ", ".join(map(_page, (*agent_class.see_also, "crm(8)", "pcs(8)", "crm_resource(8)"))),
    ]
    return "\n".join(lines) + "\n"


def _preface(agent_class: type[Agent]) -> list[str]:
    if not any(parameter.reloadable for parameter in agent_class.parameters()):
        return []
    return ["Those that are reloadable can be changed while the resource runs, without a stop."]


def _parameter(parameter: Parameter[Any], groups: list[str]) -> list[str]:
    group = parameter.unique_group
    facts = [
        "required" if parameter.required else "",
        f"one of {', '.join(parameter.choices)}" if parameter.choices else parameter.kind,
        f"default {parameter.default_text}" if parameter.default_text else "",
        "" if not group else "unique" if groups.count(group) == 1 else f"unique together with the others of {group}",
        "reloadable" if parameter.reloadable else "",
    ]
    instead = parameter.deprecated or f"use {parameter.replaced_by}."
    deprecated = [".sp", *_body(f"Deprecated: {instead}")] if parameter.is_deprecated else []
    return [
        ".TP",
        f"\\fB{_text(parameter.name)}\\fP",
        f"\\fI{_text(parameter.shortdesc)}\\fP ({_text('; '.join(filter(None, facts)))})",
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
    name = f"p_{agent_class.name}"
    params = [f"  params {' '.join(words)}" for words in [_example(agent_class)] if words]
    meta = [f"  meta {words}" for words in _meta(agent_class)]
    primitive = _command([f"primitive {name} {agent}", *params, *_operations(agent_class), *meta])
    clone = _command([f"clone c_{agent_class.name} {name} meta {_clone_meta(agent_class)}"])
    return [*primitive, *clone] if agent_class.is_clone else primitive


def _pcs_example(agent_class: type[Agent], agent: str) -> list[str]:
    params = [f"  {' '.join(words)}" for words in [_example(agent_class)] if words]
    meta = [f"  meta {words}" for words in _meta(agent_class)]
    clone = [f"  clone {_clone_meta(agent_class)}"] if agent_class.is_clone else []
    return _command([f"pcs resource create p_{agent_class.name} {agent}", *params, *_operations(agent_class), *meta, *clone])


def _example(agent_class: type[Agent]) -> list[str]:
    values = {**{p.name: "..." for p in agent_class.parameters() if p.required}, **agent_class.example}
    return [f'{name}="{value}"' if " " in value else f"{name}={value}" for name, value in values.items()]


def _operations(agent_class: type[Agent]) -> list[str]:
    """Return one operation for each advertised action: Pacemaker runs no monitor that is not configured."""
    return [f"  op {action.name} {' '.join(_options(action))}" for action in agent_class.actions if action.name in _TIMED]


def _options(action: Action) -> list[str]:
    options = {"timeout": action.timeout, "interval": action.interval, "role": action.role}
    options["OCF_CHECK_LEVEL"] = str(action.depth) if action.depth else None
    return [f"{name}={value}" for name, value in options.items() if value]


def _meta(agent_class: type[Agent]) -> list[str]:
    return ["allow-migrate=true"] if _declares(agent_class, "migrate_to") else []


def _clone_meta(agent_class: type[Agent]) -> str:
    options = {"interleave": True, "promotable": _declares(agent_class, "promote"), "notify": _declares(agent_class, "notify")}
    return " ".join(f"{name}=true" for name, wanted in options.items() if wanted)


def _declares(agent_class: type[Agent], name: str) -> bool:
    return name in [action.name for action in agent_class.actions]


def _page(page: str) -> str:
    name, bracket, section = page.partition("(")
    return f"\\fB{_text(name)}\\fP{bracket}{section}"


def _command(lines: list[str]) -> list[str]:
    """Show one command on several lines, in shell syntax."""
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


def load(target: str) -> type[Agent]:
    """Return the class that MODULE:CLASS names, or the last agent that the file of that name defines."""
    module, colon, name = target.partition(":")
    if colon:
        return getattr(import_module(module), name)  # type: ignore[no-any-return]
    names = runpy.run_path(target).values()
    return [found for found in names if isinstance(found, type) and issubclass(found, Agent) and found is not Agent][-1]


def main(argv: list[str]) -> int:
    """Print the page of the agent that argv names."""
    if len(argv) != 2:
        sys.stderr.write(f"{(__doc__ or '').strip()}\n")
        return 2
    sys.stdout.write(render(load(argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
