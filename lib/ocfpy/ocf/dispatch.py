"""Runs one action of an agent, with the rules that hold for every agent.

stop and probe never fail because of bad configuration or a missing tool: a stop that fails fences the node, a
probe that fails starts a recovery. All faults of a configuration are reported together. Every failure ends in exactly one
exit reason.
"""

from __future__ import annotations

import os
import sys

from ocfpy.ocf import codes
from ocfpy.ocf.context import Context
from ocfpy.ocf.deadline import Deadline, process_age
from ocfpy.ocf.errors import DeadlineError, OcfError, PermissionDeniedError, ServiceError, one_line
from ocfpy.ocf.lifecycle import (
    CANNOT_RUN_HERE,
    await_unclaimed,
    completed,
    known_claim,
    os_reason,
    require_active,
    wait_until,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

    from ocfpy.ocf.agent import Agent, Status

    Handler = Callable[[type[Agent], Context], int]
else:
    # The C module behind signal, which itself pulls in enum: 3 ms that no monitor needs to pay.
    import _signal

# Even with a short timeout: between two alarms there must be time to log what happened.
LEAST_RING_S = 0.02
_CHANGE_NOTHING = ("", "meta-data", "usage", "validate-all")


def run(agent_class: type[Agent]) -> NoReturn:
    """Run the action that this process was started for, and exit with its code: the entry point of a launcher.

    Skips the interpreter's clean-up, which costs 3 of a monitor's 18 ms; everything has been written by then.
    """
    os._exit(main(agent_class, sys.argv, os.environ, process_age()))


def main(agent_class: type[Agent], argv: Sequence[str], environ: Mapping[str, str], age_s: float = 0.0) -> int:
    """Run the action that argv[1] names and return its OCF exit code; never raises.

    age_s is how long the cluster has been waiting for it already.
    """
    context = Context(argv, environ, agent_class.name, agent_class.provider, age_s)
    try:
        try:
            if context.traced:
                from ocfpy.ocf import trace

                trace.start(context, environ)
            _drop_shortcut(context)
            with _Alarm(context):
                return _handler(agent_class, context.action)(agent_class, context)
        except OcfError as error:
            failure = error
        except PermissionError as error:
            failure = PermissionDeniedError(f"{error}: {_who_may_not()}")
        except OSError as error:
            failure = ServiceError(f"{context.action} failed: {os_reason(error)}")
            _log_traceback(context, error)
        except Exception as error:
            failure = ServiceError(f"{context.action} failed unexpectedly: {type(error).__name__}: {error}")
            _log_traceback(context, error)
        context.log.error(f"{context.action}: {failure.reason}")
    except BaseException as error:
        failure = ServiceError(f"interrupted: {type(error).__name__}: {error}")
    _disarm()  # it may have rung while the alarm was being set or removed
    _exit_reason(context, failure.reason)
    return failure.code


def _handler(agent_class: type[Agent], action: str) -> Handler:
    always = {
        "start": _start,
        "stop": _stop,
        "monitor": _monitor,
        "meta-data": _meta_data,
        "validate-all": _validate_all,
        "usage": _usage,
    }
    if action in always:
        return always[action]
    offered = [declared.name for declared in agent_class.advertised_actions()]
    optional = {"migrate_to": _migrate_to, "migrate_from": _migrate_from, "reload-agent": _reload_agent}
    optional.update(dict.fromkeys(("promote", "demote", "notify", "reload"), _in_role))
    return optional[action] if action in optional and action in offered else _unimplemented


def _meta_data(agent_class: type[Agent], context: Context) -> int:
    from ocfpy.ocf.metadata import render

    return _print(render(agent_class))


def _usage(agent_class: type[Agent], context: Context) -> int:
    return _print(f"{_usage_line(agent_class)}\n")


def _unimplemented(agent_class: type[Agent], context: Context) -> int:
    if not context.action:
        sys.stderr.write(f"{_usage_line(agent_class)}\n")
        return codes.OCF_ERR_ARGS
    return codes.OCF_ERR_UNIMPLEMENTED


def _usage_line(agent_class: type[Agent]) -> str:
    names = dict.fromkeys([*(action.name for action in agent_class.advertised_actions()), "usage"])
    return f"usage: {agent_class.name} {{{'|'.join(names)}}}"


def _validate_all(agent_class: type[Agent], context: Context) -> int:
    agent = agent_class(context)
    claim = agent.claim() if context.check_level >= 10 else {}
    for warning in agent.config_warnings():
        context.log.warning(f"{context.action}: {warning}")
        _to_stderr(f"WARNING: {one_line(warning)}")  # for an operator who runs validate-all
    if context.check_level >= 10:
        agent.check_claim(claim)
        agent.check_host()
    return codes.OCF_SUCCESS


def _monitor(agent_class: type[Agent], context: Context) -> int:
    if context.is_probe:
        return _probe(agent_class, context)
    agent = agent_class(context)
    status = agent.observe(known_claim(agent))
    _publish_score(agent, status)
    if status.reason:
        _report(context, status)
    elif status.kind == "running" and not context.check_level:
        _note_shortcut(agent)
    return _monitored(context, status)


def _note_shortcut(agent: Agent) -> None:
    facts = agent.shortcut_facts()
    if facts:
        from ocfpy.ocf import shortcut  # once for many monitors, which then need no interpreter

        shortcut.write(agent, facts)


def _drop_shortcut(context: Context) -> None:
    """What a monitor noted for the next one holds until something else happens to the resource."""
    if context.action in _CHANGE_NOTHING:
        return
    try:
        os.unlink(context.shortcut)
    except OSError:
        pass  # there is none, as a rule


def _publish_score(agent: Agent, status: Status) -> None:
    if agent.has_score():
        from ocfpy.ocf import roles

        roles.publish_score(agent, status)


def _monitored(context: Context, status: Status) -> int:
    """The exit code of a status. If Pacemaker would never forget a degraded result, report running instead."""
    if status.kind == "degraded" and not context.cluster_expires_degraded:
        return codes.OCF_RUNNING_PROMOTED if status.promoted else codes.OCF_SUCCESS
    return status.code


def _probe(agent_class: type[Agent], context: Context) -> int:
    agent = agent_class(context, lenient=True)
    try:
        record = context.state.read()
        if record is None and agent.config_errors:
            return codes.OCF_NOT_RUNNING
        status = agent.observe(agent.claim() if record is None else completed(agent, record))
    except CANNOT_RUN_HERE as error:
        context.log.debug(f"probe: {error.reason}")
        return codes.OCF_NOT_RUNNING
    if status.reason and status.code != codes.OCF_NOT_RUNNING:
        _report(context, status)
    return _monitored(context, status)


def _start(agent_class: type[Agent], context: Context) -> int:
    return _bring_up(agent_class(context), "start")


def _migrate_from(agent_class: type[Agent], context: Context) -> int:
    return _bring_up(agent_class(context), "migrate_from")


def _bring_up(agent: Agent, action: str) -> int:
    """Start or take over: the claim is on disk before anything is done, and only observe decides about success."""
    context = agent.context
    claim = agent.claim()
    _log_warnings(agent)
    unclaimed_by = Deadline(context.deadline.remaining() / 2)
    await_unclaimed(agent, claim, unclaimed_by)  # before check_host, which may find what the other resource has in place
    agent.check_host()
    record = context.state.read()
    if record is not None:
        record = {**claim, **record}
    if record is not None and any(record[key] != value for key, value in claim.items()):
        # A stop did not finish before the configuration changed; nothing else would ever undo that.
        from ocfpy.ocf.stopping import take_down

        context.log.warning(f"{action}: undoing what an earlier start with other parameters left behind")
        take_down(agent, record)
        context.state.delete()
    await_unclaimed(agent, claim, unclaimed_by, lambda: context.state.update(claim))
    status = agent.observe(claim)
    if not status.is_active:
        (agent.start if action == "start" else agent.migrate_from)(claim)
        status = wait_until(agent, claim, lambda seen: seen.is_active, f"{agent.name} to run")
    _publish_score(agent, status)
    context.log.info(f"{action}: done")
    return codes.OCF_SUCCESS


def _log_warnings(agent: Agent) -> None:
    for warning in agent.config_warnings():
        agent.context.log.warning(f"{agent.context.action}: {warning}")


def _stop(agent_class: type[Agent], context: Context) -> int:
    from ocfpy.ocf.stopping import stop  # no monitor needs it

    return stop(agent_class, context)


def _migrate_to(agent_class: type[Agent], context: Context) -> int:
    agent = agent_class(context)
    claim = known_claim(agent)
    require_active(agent, claim)
    agent.migrate_to(claim)
    return codes.OCF_SUCCESS


def _reload_agent(agent_class: type[Agent], context: Context) -> int:
    agent = agent_class(context)
    require_active(agent, known_claim(agent))
    put_in_force(agent, agent.claim())
    context.log.info("reload-agent: done")
    return codes.OCF_SUCCESS


def put_in_force(agent: Agent, claim: dict[str, str]) -> None:
    """Apply the parameters of this claim to the running service; the claim is on disk before anything is done."""
    _log_warnings(agent)
    agent.context.state.update(agent.transitional_claim(claim))
    agent.reload_agent(claim)


def _in_role(agent_class: type[Agent], context: Context) -> int:
    from ocfpy.ocf import roles

    run_it: Callable[[Agent], int] = getattr(roles, context.action)
    return run_it(agent_class(context))


class _Alarm:
    """Interrupts an action stuck past its deadline, so that it reports where before Pacemaker kills it."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        _signal.signal(_signal.SIGALRM, self._ring)
        # Code that watches the deadline by itself gives the better reason, and has half of the margin to go first. The
        # alarm is repeated in case the first one was swallowed by code that catches any exception.
        margin_s = self._context.margin
        first_s = self._context.deadline.remaining() + margin_s / 2
        _signal.setitimer(_signal.ITIMER_REAL, max(first_s, LEAST_RING_S), max(margin_s / 4, LEAST_RING_S))

    def _ring(self, number: int, frame: object) -> None:
        step = self._context.deadline.step
        raise DeadlineError(f"{self._context.action} is stuck{f', waiting for {step}' if step else ''}")

    def __exit__(self, *failure: object) -> None:
        _disarm()


def _disarm() -> None:
    _signal.setitimer(_signal.ITIMER_REAL, 0)


def _report(context: Context, status: Status) -> None:
    context.log.warning(f"{context.action}: {status.kind}: {status.reason}")
    _exit_reason(context, status.reason)


def _exit_reason(context: Context, reason: str) -> None:
    """Write an exit reason: Pacemaker uses the last such line of stderr, to its end."""
    _to_stderr(f"{context.exit_reason_prefix}{one_line(reason)}")


def _who_may_not() -> str:
    if os.geteuid():
        return "run the agent as root"
    return "an agent runs as root with all capabilities: look for a denial in the log of SELinux or AppArmor"


def _to_stderr(line: str) -> None:
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, AttributeError):
        pass


def _print(text: str) -> int:
    sys.stdout.write(text)
    sys.stdout.flush()
    return codes.OCF_SUCCESS


def _log_traceback(context: Context, error: BaseException) -> None:
    import traceback

    context.log.debug(" | ".join(traceback.format_exception(type(error), error, error.__traceback__)))
