"""Transient node attributes, through attrd_updater(8): how an agent tells the cluster what it found."""

from __future__ import annotations

from ocfpy.ocf import process
from ocfpy.ocf.errors import OcfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ocf.context import Context, Log
    from ocfpy.ocf.deadline import Deadline

_TOOL = "attrd_updater"


def update_command(name: str, value: str, dampen: str = "0") -> list[str]:
    """Return the command that sets an attribute of this node; the cluster acts on it after dampen."""
    return [_TOOL, "-n", name, "-U", value, "-d", dampen]


def delete_command(name: str) -> list[str]:
    """Return the command that deletes an attribute of this node."""
    return [_TOOL, "-n", name, "-D"]


def set_attribute(
    name: str, value: str, dampen: str = "0", deadline: Deadline | float = 5.0, log: Log | None = None
) -> bool:
    """Set an attribute of this node; return whether the cluster took it. Outside of one it is only logged."""
    return _run(update_command(name, value, dampen), deadline, log) is not None


def delete_attribute(name: str, deadline: Deadline | float = 5.0, log: Log | None = None) -> bool:
    """Delete an attribute of this node; return whether the cluster took it."""
    return _run(delete_command(name), deadline, log) is not None


def get_attribute(
    name: str, node: str | None = None, deadline: Deadline | float = 5.0, log: Log | None = None
) -> str | None:
    """Return the value of an attribute, of this node by default; None when unset or outside a cluster."""
    out = _run([_TOOL, "-n", name, "-Q", *(["-N", node] if node else [])], deadline, log)
    # One line for each node: name="healthy-web" host="lb1" value="2"
    for word in (out or "").split():
        if word.startswith('value="'):
            return word[len('value="') : -1]
    return None


def set_promotion_score(
    score: int, context: Context, deadline: Deadline | float = 5.0, log: Log | None = None
) -> bool:
    """Say how much this instance deserves to be promoted on this node; below 0 it never is.

    The cluster forgets it when the node restarts. Returns whether the cluster took it.
    """
    return _run(promotion_command(context, ["-v", str(score)]), deadline, log) is not None


def delete_promotion_score(context: Context, deadline: Deadline | float = 5.0, log: Log | None = None) -> bool:
    """Take the score back: Pacemaker promotes no instance without one. Return whether the cluster took it."""
    return _run(promotion_command(context, ["-D"]), deadline, log) is not None


def promotion_command(context: Context, change: list[str]) -> list[str]:
    """Return the command that changes the promotion score of this resource on this node."""
    # Without a lifetime, --promotion means until the node's next start (crm_attribute(8)).
    return ["crm_attribute", f"--promotion={context.key}", *change]


def _run(argv: list[str], deadline: Deadline | float, log: Log | None) -> str | None:
    try:
        done = process.run(argv, deadline, package="pacemaker")
        complaint = f"exit code {done.rc}: {done.err or done.out}" if done.rc else ""
    except OcfError as error:
        complaint = error.reason
    except OSError as error:  # no process, no memory: for now
        complaint = str(error)
    if not complaint:
        return done.out
    if log is not None:
        log.info(f"{' '.join(argv)}: {complaint}")
    return None
