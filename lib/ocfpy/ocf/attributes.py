"""Transient node attributes and promotion scores: an agent's reports to the cluster."""

from __future__ import annotations

from ocfpy.ocf import process
from ocfpy.ocf.errors import OcfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocfpy.ocf.context import Context, Log
    from ocfpy.ocf.deadline import Deadline

PATIENCE_S = 5.0
_TOOL = "attrd_updater"
_SPECIAL = ".[]()*+?{}|^$\\"
"""Characters with a meaning in an extended regular expression."""


def update_command(name: str, value: str, dampen: str = "0") -> list[str]:
    """Return the command that sets an attribute of this node; the cluster acts on it after dampen."""
    return [_TOOL, "-n", name, "-U", value, "-d", dampen]


def delete_command(name: str) -> list[str]:
    """Return the command that deletes an attribute of this node."""
    return [_TOOL, "-n", name, "-D"]


def set_attribute(
    name: str, value: str, dampen: str = "0", deadline: Deadline | float = PATIENCE_S, log: Log | None = None
) -> bool:
    """Set an attribute of this node; return whether the cluster accepted it. Outside of a cluster it is only logged."""
    return _run(update_command(name, value, dampen), deadline, log) is not None


def set_attributes(names: Sequence[str], value: str, deadline: Deadline | float = PATIENCE_S, log: Log | None = None) -> bool:
    """Set existing attributes of this node to one value, at the same moment; return whether the cluster accepted it.

    attrd passes the change on in one message to the cluster. It silently skips names that it does not know.
    attrd_updater has had --pattern since Pacemaker 2.1.6.
    """
    words = "|".join("".join(f"\\{one}" if one in _SPECIAL else one for one in name) for name in names)
    return _run([_TOOL, "--pattern", f"^({words})$", "-U", value], deadline, log) is not None


def delete_attribute(name: str, deadline: Deadline | float = PATIENCE_S, log: Log | None = None) -> bool:
    """Delete an attribute of this node; return whether the cluster accepted it."""
    return _run(delete_command(name), deadline, log) is not None


def get_attribute(
    name: str, node: str | None = None, deadline: Deadline | float = PATIENCE_S, log: Log | None = None
) -> str | None:
    """Return the value of an attribute, of this node by default; None when unset or outside a cluster."""
    out = _run([_TOOL, "-n", name, "-Q", *(["-N", node] if node else [])], deadline, log)
    # One line for each node: name="healthy-web" host="lb1" value="2"
    for word in (out or "").split():
        if word.startswith('value="'):
            return word[len('value="') : -1]
    return None


def set_promotion_score(context: Context, score: int, deadline: Deadline | float | None = None) -> bool:
    """Publish this instance's promotion score on this node; below 0 it is never promoted.

    The cluster forgets it when the node leaves. Returns whether the cluster accepted it; the log has the reason of a refusal. The
    default time limit is PATIENCE_S, or half of the time that the action has left.
    """
    return _change_score(context, [f"--update={score}"], deadline)


def delete_promotion_score(context: Context, deadline: Deadline | float | None = None) -> bool:
    """Delete the score: Pacemaker promotes no instance without one. Return whether the cluster accepted it."""
    return _change_score(context, ["--delete"], deadline)


def promotion_command(context: Context, change: list[str]) -> list[str]:
    """Return the command that changes the promotion score of this resource on this node."""
    # Without a lifetime, --promotion means until the node leaves the cluster (crm_attribute(8)).
    return ["crm_attribute", f"--promotion={context.key}", *change]


def _change_score(context: Context, change: list[str], deadline: Deadline | float | None) -> bool:
    patience = min(PATIENCE_S, context.deadline.remaining() / 2) if deadline is None else deadline
    return _run(promotion_command(context, change), patience, context.log) is not None


def _run(argv: list[str], deadline: Deadline | float, log: Log | None) -> str | None:
    command = f"`{' '.join(argv)}`"
    try:
        done = process.run(argv, deadline, package="pacemaker")
        if not done.rc:
            return done.out
        complaint = f"{command}: exit code {done.rc}: {done.err or done.out}"
    except OcfError as error:
        complaint = error.reason
    except OSError as error:  # no process, no memory: for now
        complaint = f"{command}: {error}"
    if log is not None:
        log.warning(complaint)
    return None
