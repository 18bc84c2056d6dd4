"""The base class of an agent: its declaration, and the methods that an agent overrides."""

from __future__ import annotations

from ocfpy.ocf import codes
from ocfpy.ocf.errors import ConfigError
from ocfpy.ocf.parameters import declared_parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ocfpy.ocf.clone import Notification
    from ocfpy.ocf.context import Context
    from ocfpy.ocf.parameters import Parameter


_NOT_OURS = ("CRM_", "crm_", "OCF_", "trace_")
"""Prefixes of parameters that Pacemaker and the tracing of ocf-shellfuncs add to an agent's own."""


class Status:
    """What observe found: kind is running, degraded, stopped or failed; reason may be empty.

    promoted is whether the instance has the promoted role, for an agent that has one.
    """

    __slots__ = ("code", "kind", "promoted", "reason")

    def __init__(self, kind: str, reason: str, code: int, promoted: bool = False) -> None:
        self.kind = kind
        self.reason = reason
        self.code = code
        self.promoted = promoted

    @classmethod
    def running(cls, promoted: bool = False) -> Status:
        """Everything that was claimed is in place and works."""
        return cls("running", "", codes.OCF_RUNNING_PROMOTED if promoted else codes.OCF_SUCCESS, promoted)

    @classmethod
    def degraded(cls, reason: str, promoted: bool = False) -> Status:
        """It runs, but with restrictions; Pacemaker shows the reason and does nothing."""
        code = codes.OCF_DEGRADED_PROMOTED if promoted else codes.OCF_DEGRADED
        return cls("degraded", reason, code, promoted)

    @classmethod
    def stopped(cls, reason: str = "") -> Status:
        """Nothing of the claim is in place. In doubt, return failed instead."""
        return cls("stopped", reason, codes.OCF_NOT_RUNNING)

    @classmethod
    def failed(cls, reason: str, promoted: bool = False) -> Status:
        """Some of the claim is in place, but does not work; Pacemaker stops the resource."""
        return cls("failed", reason, codes.OCF_FAILED_PROMOTED if promoted else codes.OCF_ERR_GENERIC, promoted)

    @property
    def is_active(self) -> bool:
        """Whether it serves: running or degraded."""
        return self.kind in ("running", "degraded")

    def __repr__(self) -> str:
        return f"Status({self.kind!r}, {self.reason!r})"


class Action:
    """An action as the metadata advertises it; times are spelled with their unit, "20s"."""

    __slots__ = ("depth", "interval", "name", "role", "start_delay", "timeout")

    def __init__(
        self,
        name: str,
        timeout: str = "20s",
        interval: str | None = None,
        depth: int | None = None,
        role: str | None = None,
        start_delay: str | None = None,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self.interval = interval
        self.depth = depth
        self.role = role
        self.start_delay = start_delay


class Agent:
    """Base of all agents.

    Subclasses declare parameters as class attributes and override observe, start, stop and claim; a declared
    action beside these has a method of the same name. A claim is flat text: what start puts in place. It is written to the
    state file before start runs, so that stop can undo it however the configuration has changed since. config_errors holds
    every fault of the configuration; with lenient=False they are raised as one ConfigError. check_config runs within
    __init__, so it may use only the parameters.
    """

    context: Context
    values: dict[str, Any]  # by the names of the parameters
    config_errors: list[str]
    _former: dict[str, Parameter[Any]]

    name: str
    provider = "ocfpy"  # the agent's directory below resource.d
    version: str
    shortdesc: str
    longdesc: str
    actions: tuple[Action, ...]

    # For the manual page: parameters of a working example, whether it is used as a clone, and pages to read next.
    example: Mapping[str, str] = {}
    is_clone = False
    see_also: tuple[str, ...] = ()

    def __init__(self, context: Context, lenient: bool = False) -> None:
        self.context = context
        self.values = {}
        parameters = self.parameters()
        self._former = {p.replaced_by: p for p in parameters if p.replaced_by and self.is_set(p.name)}
        self.config_errors = [fault for parameter in parameters for fault in self._read_parameter(parameter)]
        self.config_errors += self._cross_errors(lenient)
        if self.config_errors and not lenient:
            raise ConfigError("; ".join(self.config_errors))

    @classmethod
    def parameters(cls) -> list[Parameter[Any]]:
        """Return the declared parameters, in the order of their declaration, base classes first."""
        return declared_parameters(cls)

    @classmethod
    def advertised_actions(cls) -> tuple[Action, ...]:
        """Return the actions of the metadata: the declared ones, and those that the library answers by itself."""
        declared = tuple(a for a in cls.actions if a.name != "reload-agent" or cls.can_reload())
        names = [action.name for action in declared]
        own = (Action("validate-all", "5s"), Action("meta-data", "5s"))
        return declared + tuple(action for action in own if action.name not in names)

    @classmethod
    def can_reload(cls) -> bool:
        """Whether the agent can take new parameters without a stop."""
        return cls.reload_agent is not Agent.reload_agent

    @classmethod
    def has_score(cls) -> bool:
        """Whether the agent chooses which instance is promoted."""
        return cls.promotion_score is not Agent.promotion_score

    @classmethod
    def depths(cls) -> list[int]:
        """Return the check levels of monitor that are advertised, lowest first; always including 0."""
        return sorted({0, *(action.depth or 0 for action in cls.actions if action.name == "monitor")})

    @property
    def depth(self) -> int:
        """The check level for observe: the requested one or, as in OCF 1.1, the next lower one offered."""
        return max(depth for depth in self.depths() if depth <= self.context.check_level)

    def config_warnings(self) -> list[str]:
        """Return warnings about a valid configuration that is probably a mistake; start and validate-all log them.

        A subclass adds its own. Called only if check_config has found no fault.
        """
        return self._unknown_parameters() + self._deprecations() + self._doubts()

    def _unknown_parameters(self) -> list[str]:
        known = [parameter.name for parameter in self.parameters()]
        unknown = [name for name in self.context.params if name not in known and not name.startswith(_NOT_OURS)]
        if not unknown:
            return []
        from difflib import get_close_matches

        warnings = []
        for name in sorted(unknown):
            near = get_close_matches(name.lower().replace("-", "_"), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            warnings.append(f"{self.name} has no parameter {name}, which is ignored: {hint}")
        return warnings

    def _doubts(self) -> list[str]:
        doubts = ((p.name, p.doubt(self.context.params[p.name])) for p in self.parameters() if self.is_set(p.name))
        return [f"parameter {name}: {doubt}" for name, doubt in doubts if doubt]

    def _deprecations(self) -> list[str]:
        return [
            f"parameter {parameter.name} is deprecated: "
            + (parameter.deprecated or f"use {parameter.replaced_by}")
            + (f" ({parameter.replaced_by} is set, and used)" if self.is_set(parameter.replaced_by) else "")
            for parameter in self.parameters()
            if parameter.is_deprecated and self.is_set(parameter.name)
        ]

    def is_set(self, name: str) -> bool:
        """Whether the parameter was given, well-formed or not: for a check such as "one of two"."""
        return name in self.context.params

    def _read_parameter(self, parameter: Parameter[Any]) -> list[str]:
        text = self.context.params.get(parameter.name)
        if text is not None:
            try:
                self.values[parameter.name] = parameter.read(text)
                return []
            except ValueError as error:
                fault = f"parameter {parameter.name}: {error}"
        elif parameter.name in self._former:
            # Set by its former name only. A fault of its value is reported for that name.
            former = self._former[parameter.name].name
            try:
                self.values[parameter.name] = parameter.read(self.context.params[former])
                return []
            except ValueError:
                fault = ""
        else:
            fault = f"parameter {parameter.name}: required, but not set" if parameter.required else ""
        self.values[parameter.name] = parameter.default
        return [fault] if fault else []

    def _cross_errors(self, lenient: bool) -> list[str]:
        try:
            return self.check_config()
        except Exception as error:
            # A check across parameters failed because of a value whose fault has been reported already.
            if self.config_errors and isinstance(error, (AttributeError, TypeError)):
                return []
            if lenient:  # a stop goes on in spite of any fault
                return [f"{type(error).__name__}: {error}"]
            raise

    def check_config(self) -> list[str]:
        """Return faults of the combination of parameters; uses nothing but these."""
        return []

    def check_host(self) -> None:
        """Raise an OcfError if this host cannot run the resource; called before start, and in validate-all level 10."""

    def claim(self) -> dict[str, str]:
        """Return what start puts in place."""
        return {}

    def check_claim(self, claim: dict[str, str]) -> None:
        """Raise ClaimedError if another resource on this host holds what this one claims.

        A start retries until its time is over, because the other resource may be about to stop: to Pacemaker, a renamed
        resource is one that stops and another one that starts, in no defined order. start holds the lock of the agent type
        over this call and the writing of the claim: read only the claims, and wait for nothing.
        """

    def transitional_claim(self, claim: dict[str, str]) -> dict[str, str]:
        """Return what a stop would have to undo while a reload goes over to `claim`, and what no other resource can claim."""
        return claim

    def observe(self, claim: dict[str, str]) -> Status:
        """Return the state of the claim, without changing anything."""
        raise NotImplementedError

    def shortcut_facts(self) -> Sequence[str]:
        """Return what a shell can look at again, to find what observe has just found; empty if it takes an interpreter.

        Each is a line of the note that the launcher goes by (shortcut.py). Asked for only after a monitor that found the
        resource running and had nothing to report.
        """
        return ()

    def start(self, claim: dict[str, str]) -> None:
        """Put the claim in place, from any state; the library then waits for observe to agree."""
        raise NotImplementedError

    def stop(self, claim: dict[str, str]) -> None:
        """Undo the claim; the library then waits for observe to say stopped."""
        raise NotImplementedError

    def migrate_to(self, claim: dict[str, str]) -> None:
        """Prepare to hand over to the node named in the environment; the stop comes later."""

    def migrate_from(self, claim: dict[str, str]) -> None:
        """Take over while the other node still serves."""
        self.start(claim)

    def promote(self, claim: dict[str, str]) -> None:
        """Take the promoted role; the library then waits until observe says promoted."""
        raise NotImplementedError

    def demote(self, claim: dict[str, str]) -> None:
        """Give up the promoted role and keep running; the library then waits until observe agrees."""
        raise NotImplementedError

    def promotion_score(self, status: Status) -> int | None:
        """Return this instance's score for promotion, given what observe found; None or less than 0 is never.

        Pacemaker promotes the instance with the highest score. The library publishes it after start and at each recurring
        monitor, and deletes it before the instance stops.
        """
        return None

    def notify(self, notification: Notification) -> None:
        """Handle what the cluster is about to do, or has done, to the clone's instances; failures are ignored."""

    def reload(self, claim: dict[str, str]) -> None:
        """Have the service read its own configuration again (OCF 1.1); Pacemaker itself never calls it."""
        raise NotImplementedError

    def reload_agent(self, claim: dict[str, str]) -> None:
        """Apply the new parameters to the running service; only reloadable ones have changed.

        Not for an agent with a promoted role: Pacemaker remembers an instance's last action and its monitors, so that from
        a reload-agent until the next monitor it considers a promoted instance unpromoted, and may promote
        another beside it (seen with Pacemaker 3.0.0).
        """
        raise NotImplementedError
