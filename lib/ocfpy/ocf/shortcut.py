"""The note by which an agent's launcher answers recurring monitors without an interpreter, and the launcher itself.

A recurring monitor that found everything well writes down what it went by: the version and the parameters, and facts that a
shell can look at again. The next one starts no interpreter while all of them still hold. Every action that starts an
interpreter removes the note first: it never outlives an action, a failure or a change of parameters. What each fact
means is in agents/launcher.sh.
"""

from __future__ import annotations

from ocfpy.ocf.state import replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocfpy.ocf.agent import Agent

SEPARATOR = "\t"
MAX_BYTES = 4096
"""A shell reads the note byte by byte: a longer one would cost what it saves."""


def write(agent: Agent, facts: Sequence[str]) -> None:
    """Write the note of a monitor that found everything well, if a line can hold it. No failure of a monitor if that fails."""
    given = [agent.context.environ.get(f"OCF_RESKEY_{name}", "") for name in names(type(agent))]
    text = "".join(f"{line}\n" for line in (SEPARATOR.join((agent.version, *given)), *facts, "good"))
    # One that is not ASCII, or has a tab or a line break in it, might be read back as another one.
    plain = text.isascii() and all(value.isprintable() for value in given) and all(map(str.isprintable, facts))
    if not plain or len(text) > MAX_BYTES:
        return
    try:
        replace_file(agent.context.shortcut, text.encode())
    except OSError as error:
        agent.context.log.debug(f"monitor: {error.filename}: {error.strerror}")


def names(agent_class: type[Agent]) -> list[str]:
    """The parameters of the agent, in the order of the note."""
    return [parameter.name for parameter in agent_class.parameters()]


def launcher(template: str, agent_class: type[Agent], target: str) -> str:
    """Return the launcher of the agent that `target`, MODULE:CLASS, names. Raises ValueError for a name that no shell takes."""
    wrong = [name for name in names(agent_class) if not name.isidentifier() or not name.isascii()]
    if wrong:
        raise ValueError(f"no shell variable ends with {', '.join(wrong)}")
    given = (f"${{OCF_RESKEY_{name}-}}" for name in names(agent_class))
    for mark, text in (
        ("@NAME@", agent_class.name),
        ("@CLASS@", target),
        ("@VERSION@", agent_class.version),
        ("@PARAMETERS@", SEPARATOR.join((agent_class.version, *given))),
    ):
        template = template.replace(mark, text)
    return template


def main(argv: list[str]) -> int:
    """Print a launcher: shortcut TEMPLATE MODULE:CLASS."""
    from ocfpy.ocf.manpage import load

    with open(argv[1], encoding="ascii") as file:
        print(launcher(file.read(), load(argv[2]), argv[2]), end="")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv))
