"""Renders an agent's declaration as OCF 1.1 metadata: python3 -m ocfpy.ocf.metadata MODULE:CLASS DTD.

The document names a DTD that is installed beside this module: ocf-tester validates against the DTD that a document
names, and its own lacks the elements of OCF 1.1 (unique-group, reloadable, select, deprecated,
reload-agent). It is not an internal subset, which satisfies every tool as well, because Pacemaker 3.0.0's
controller logs "new_private_data: Triggered fatal assertion" for each declaration of one, dozens of lines at
every start. Every optional attribute is #IMPLIED, so that a validating parser adds nothing.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ocfpy.ocf.agent import Action, Agent
    from ocfpy.ocf.parameters import Parameter

DTD = os.path.join(os.path.dirname(os.path.realpath(__file__)), "ra-api-1.1.dtd")


def render(agent_class: type[Agent], dtd: str = DTD) -> str:
    """Return the metadata document, ASCII only, with the path of its DTD."""
    parameters = agent_class.parameters()
    groups = [parameter.unique_group for parameter in parameters]
    lines = [
        f"<resource-agent{_attributes(name=agent_class.name, version=agent_class.version)}>",
        "<version>1.1</version>",
        _described("longdesc", agent_class.longdesc),
        _described("shortdesc", agent_class.shortdesc),
        "<parameters>",
        *(_parameter(p, alone=groups.count(p.unique_group) == 1) for p in parameters),
        "</parameters>",
        "<actions>",
        *(_action(action) for action in agent_class.advertised_actions()),
        "</actions>",
        "</resource-agent>",
    ]
    head = f'<?xml version="1.0"?>\n<!DOCTYPE resource-agent SYSTEM "{_escaped(dtd)}">\n'
    text = head + "\n".join(lines) + "\n"
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


def paragraphs(text: str) -> Iterable[str]:
    """Yield the paragraphs of a description that is indented like the source file."""
    for block in "\n".join(line.strip() for line in text.split("\n")).split("\n\n"):
        if block.strip():
            yield block.strip()


def _parameter(parameter: Parameter[Any], alone: bool) -> str:
    group = parameter.unique_group
    attributes = _attributes(
        name=parameter.name,
        # pcs reads only unique-group; crmsh only unique, and treats each parameter of a group as unique by itself.
        unique_group=group or None,
        unique="1" if group and alone else None,
        required="1" if parameter.required else "0",
        reloadable="1" if parameter.reloadable else None,
    )
    return "\n".join(
        [
            f"<parameter{attributes}>",
            *_deprecated(parameter),
            _described("longdesc", parameter.longdesc),
            _described("shortdesc", parameter.shortdesc),
            _content(parameter),
            "</parameter>",
        ]
    )


def _deprecated(parameter: Parameter[Any]) -> list[str]:
    if not parameter.is_deprecated:
        return []
    successor = f"<replaced-with{_attributes(name=parameter.replaced_by)}/>" if parameter.replaced_by else ""
    desc = _described("desc", parameter.deprecated) if parameter.deprecated else ""
    return [f"<deprecated>{successor}{desc}</deprecated>"]


def _content(parameter: Parameter[Any]) -> str:
    attributes = _attributes(type=parameter.content_type, default=parameter.default_text)
    if not parameter.choices:
        return f"<content{attributes}/>"
    options = "".join(f"<option{_attributes(value=choice)}/>" for choice in parameter.choices)
    return f"<content{attributes}>{options}</content>"


def _action(action: Action) -> str:
    attributes = _attributes(
        name=action.name,
        timeout=action.timeout,
        interval=action.interval,
        depth=None if action.depth is None else str(action.depth),
        role=action.role,
        start_delay=action.start_delay,
    )
    return f"<action{attributes}/>"


def _described(element: str, text: str) -> str:
    return f'<{element} lang="en">{_escaped(chr(10).join(_separated(text)))}</{element}>'


def _separated(text: str) -> Iterable[str]:
    for number, paragraph in enumerate(paragraphs(text)):
        if number:
            yield ""
        yield paragraph


def _attributes(**attributes: str | None) -> str:
    return "".join(
        f' {name.replace("_", "-")}="{_escaped(value)}"'
        for name, value in attributes.items()
        if value is not None
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def main(argv: list[str]) -> int:
    """Print the metadata of the agent that argv names as MODULE:CLASS, with argv's DTD: for the installation."""
    if len(argv) != 3:
        sys.stderr.write(f"{(__doc__ or '').splitlines()[0]}\n")
        return 2
    module, _, name = argv[1].partition(":")
    sys.stdout.write(render(getattr(__import__(module, fromlist=[name]), name), argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
