"""The rules that OCF 1.1 and Pacemaker set for an agent, most of which ocf-tester does not check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.testkit.trial import RUNNING, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocfpy.testkit.trial import Subject

STOPPED = (7,)
PROMOTED = (8, 191)
MISSING_TOOLS: tuple[Mapping[str, str], ...] = ({"OCF_TESTER_FAIL_HAVE_BINARY": "1"}, {"PATH": "/nonexistent"})
ROOT = {"OCF_ROOT": "/usr/lib/ocf"}
SHELL_CODE = "shell code"
PWNED = "/run/testkit-pwned"
HOSTILE = {
    "a line break": "x\n\x1b[31my",
    SHELL_CODE: f"$(touch {PWNED}) `touch {PWNED}` ; touch {PWNED} | touch {PWNED}",
    "a very long value": "1" * 5_000,
}
KILL_AFTER_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
TIMES_AND_LEVELS = ("", "0", "-1", "soon", "1e9", "9" * 40)


class Rule:
    """One rule: its name, its sentence, and whether it only makes sense where the resource can start.

    begun is whether the resource has been started when the rule is checked.
    """

    def __init__(self, check: Callable[[Trial], None], needs_start: bool, begun: bool) -> None:
        self.name = check.__name__.replace("_", "-")
        self.sentence = (check.__doc__ or "").strip()
        self.needs_start = needs_start or begun
        self.begun = begun
        self._check = check

    def __str__(self) -> str:
        return self.name

    def findings(self, subject: Subject) -> list[str]:
        """Check a subject in its own place; return the violations, a sentence each."""
        with subject.place() as place:
            trial = Trial(subject, place)
            try:
                if not self.begun or trial.start():
                    self._check(trial)
            finally:
                if subject.here:
                    trial.executor.run("stop")
            return trial.findings


RULES: list[Rule] = []


def rule(
    needs_start: bool = False, begun: bool = False
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Make a rule of a function."""

    def register(check: Callable[[Trial], None]) -> Callable[[Trial], None]:
        RULES.append(Rule(check, needs_start, begun))
        return check

    return register


@rule()
def metadata_for_anybody(trial: Trial) -> None:
    """meta-data works as nobody, with no environment, without tools, and always prints the same."""
    usual = trial.expect((0,), "meta-data")
    for said, options in (
        ("as nobody with nothing but OCF_ROOT", {"as_nobody": True, "replace_env": True, "env": ROOT}),
        ("with HA_LOGFILE not writable", {"env": {"HA_LOGFILE": "/nonexistent/log", "HA_debug": "1"}}),
        ("without tools", {"env": MISSING_TOOLS[0]}),
        ("without parameters", {"params": {}}),
    ):
        result = trial.expect((0,), "meta-data", said=said, **options)
        if result.code == 0 and result.err.strip():
            trial.find(f"meta-data {said}: speaks on stderr: {result.err.strip().splitlines()[0]}")
        if result.code == 0 and result.out != usual.out:
            trial.find(f"meta-data {said}: is another document")


@rule()
def metadata_is_complete(trial: Trial) -> None:
    """Everything has a description, each action a timeout with its unit, each monitor an interval of its own."""
    root = trial.metadata()
    if root.get("name") != trial.executor.agent:
        trial.find(f"the metadata call the agent {root.get('name')}")
    for element in [root, *root.iter("parameter")]:
        for kind in ("shortdesc", "longdesc"):
            if not (element.findtext(kind) or "").strip():
                trial.find(f"{element.tag} {element.get('name')} has no {kind}")
    for parameter in root.iter("parameter"):
        content = parameter.find("content")
        if parameter.get("required") == "1" and content is not None and content.get("default"):
            trial.find(f"parameter {parameter.get('name')} is required and has a default")
    for action in root.iter("action"):
        if not action.get("timeout", "").rstrip("smin").isdigit() or action.get("timeout", "").isdigit():
            trial.find(f"action {action.get('name')} has no timeout with a unit: {action.get('timeout')!r}")
    monitors = [action for action in root.iter("action") if action.get("name") == "monitor"]
    intervals = [monitor.get("interval") for monitor in monitors]
    if None in intervals or len(set(intervals)) < len(intervals):
        trial.find(f"monitor has the intervals {', '.join(map(str, intervals))}: Pacemaker tells monitors apart by them")
    missing = {"start", "stop", "monitor", "meta-data", "validate-all"} - trial.actions()
    if missing:
        trial.find(f"not advertised: {', '.join(sorted(missing))}")


@rule()
def advertised_actions_exist(trial: Trial) -> None:
    """Every advertised action exists, any other is answered with 3, and an action is exactly one word."""
    offered = trial.actions()
    for pair in ({"promote", "demote"}, {"migrate_to", "migrate_from"}):
        if len(pair & offered) == 1:
            trial.find(f"{(pair & offered).pop()} is advertised without {(pair - offered).pop()}")
    for action in sorted({"promote", "demote", "notify", "reload", "reload-agent", "migrate_to", "migrate_from"}):
        if action not in offered:
            trial.expect((3,), action, said="(not advertised)")
        elif trial.run(action).code == 3:
            trial.find(f"{action} is advertised and not implemented")
    for action in ("nonsense", "Start", "start;id", "monitor\n"):
        trial.expect((3,), action, said="(an unknown action)")
    if trial.executor.run("").code == 0:
        trial.find("no action at all is a success")


@rule()
def more_arguments_are_ignored(trial: Trial) -> None:
    """The action is the first argument, and further arguments are ignored."""
    trial.expect(STOPPED, "monitor", "start", said="followed by start")
    if trial.run("meta-data", "stop").out != trial.run("meta-data").out:
        trial.find("meta-data followed by stop is another document")


@rule()
def validation_is_silent(trial: Trial) -> None:
    """validate-all of a good configuration prints nothing, needs no cluster, and at level 0 no root."""
    params = {f"OCF_RESKEY_{name}": value for name, value in trial.subject.params.items()}
    before = trial.place.snapshot()
    for said, options in (
        ("", {}),
        ("outside of a cluster", {"env": {**params, **ROOT}, "replace_env": True}),
        ("as nobody", {"as_nobody": True}),
    ):
        result = trial.expect((0,), "validate-all", said=said, **options)
        if result.code == 0 and (result.out + result.err).strip():
            what = f"validate-all {said}".strip()
            trial.find(f"{what} is not silent, and pcs shows it as a warning: {(result.out + result.err).strip()}")
    trial.compare(before, "after validate-all")


@rule()
def all_that_is_missing_is_named(trial: Trial) -> None:
    """start and validate-all without parameters fail with 2, 5 or 6 and one reason that names all the required ones."""
    required = trial.parameters(required=True)
    for action in ("start", "validate-all"):
        for said, params in (("without parameters", {}), ("with empty parameters", dict.fromkeys(required, ""))):
            if not required:
                continue
            result = trial.expect((2, 5, 6), action, said=said, params=params)
            unnamed = [name for name in required if name not in "".join(result.reasons)]
            if result.code in (2, 5, 6) and unnamed:
                trial.find(f"{action} {said}: the reason does not name {', '.join(unnamed)}")


@rule()
def stop_and_probe_without_a_configuration(trial: Trial) -> None:
    """stop succeeds and a probe answers 7 with no parameters: a stop that fails fences the node."""
    for said, params in (("without parameters", {}), ("with empty parameters", dict.fromkeys(trial.parameters(), ""))):
        trial.expect((0,), "stop", said=said, params=params)
        trial.expect(STOPPED, "monitor", said=f"as a probe, {said}", params=params)
    trial.expect((0,), "stop", said="with nothing but OCF_ROOT", replace_env=True, env=ROOT)


@rule()
def stop_and_probe_with_hostile_parameters(trial: Trial) -> None:
    """The same with a parameter value that no administrator means, and no shell ever runs a value."""
    for name in trial.parameters():
        for action, code in (("stop", 0), ("monitor", 7)):
            for answer, whats in _answers_to_hostile(trial, action, name).items():
                if answer != code:
                    trial.find(f"{action} with {', '.join(whats)} in {name}: exit code {answer}, not {code}")
        params = {**trial.subject.params, name: HOSTILE[SHELL_CODE]}
        if trial.run("start", params=params, said=f"with {SHELL_CODE} in {name}").code == 0:
            trial.run("stop")
        if trial.place.run("rm", PWNED).returncode == 0:
            trial.find(f"a shell has run the value of {name}")


def _answers_to_hostile(trial: Trial, action: str, name: str) -> dict[int | None, list[str]]:
    """Map each exit code to what it answered."""
    answers: dict[int | None, list[str]] = {}
    for what, value in HOSTILE.items():
        result = trial.run(action, said=f"with a meaningless {name}", params={**trial.subject.params, name: value})
        answers.setdefault(result.code, []).append(what)
    return answers


@rule()
def stop_and_probe_without_tools(trial: Trial) -> None:
    """stop succeeds without the programs that it would need had anything been started; a probe answers 7 or 5."""
    for env in MISSING_TOOLS:
        said = "with " + " ".join(f"{name}={value}" for name, value in env.items())
        trial.expect((0,), "stop", said=said, env=env)
        trial.expect((7, 5), "monitor", said=f"as a probe, {said}", env=env)


@rule()
def nonsense_from_the_cluster(trial: Trial) -> None:
    """Timeouts, intervals and check levels that are not numbers are no reason to fail."""
    for text in TIMES_AND_LEVELS:
        env = {f"OCF_RESKEY_CRM_meta_{name}": text for name in ("timeout", "interval")}
        trial.expect(STOPPED, "monitor", said=f"with {text[:8]!r} for a number", env={**env, "OCF_CHECK_LEVEL": text})


@rule()
def nothing_comes_of_a_stopped_resource(trial: Trial) -> None:
    """Moving, reloading and promoting a stopped resource starts nothing, and migrate_to of it fails."""
    before = trial.place.snapshot()
    if "migrate_to" in trial.actions() and trial.run("migrate_to").code == 0:
        trial.find("migrate_to of a stopped resource is a success")
    for action in sorted(trial.actions() & {"reload", "reload-agent", "promote", "demote", "notify"}):
        trial.run(action, said="of a stopped resource")
    trial.expect(STOPPED, "monitor", said="as a probe, after that")
    trial.compare(before, "after actions on a stopped resource")


@rule(needs_start=True)
def a_life_leaves_nothing(trial: Trial) -> None:
    """start and stop, each twice, twice over; monitor tells the truth after each, and nothing is left in the end."""
    before = trial.place.snapshot()
    for _ in range(2):
        trial.expect(STOPPED, "monitor", said="as a probe, before start")
        for said in ("", "of a running resource"):
            if trial.expect((0,), "start", said=said).code != 0:
                return
            trial.expect(RUNNING, "monitor", said="after start", interval_s=10)
            trial.expect(RUNNING, "monitor", said="as a probe, after start")
        for said in ("", "of a stopped resource"):
            trial.expect((0,), "stop", said=said)
            trial.expect(STOPPED, "monitor", said="as a probe, after stop")
    trial.compare(before, "after stop")


@rule(begun=True)
def any_check_level(trial: Trial) -> None:
    """A check level that is not offered means the next lower one."""
    for level in ("0", "5", "10", "15", "20", "99"):
        trial.expect(RUNNING, "monitor", said=f"at level {level}", env={"OCF_CHECK_LEVEL": level}, interval_s=10)


@rule(begun=True)
def stop_when_the_configuration_has_gone(trial: Trial) -> None:
    """stop undoes what start did, even if the parameters are gone or broken by then."""
    for said, params in (
        ("without parameters", {}),
        ("with a line break in every parameter", dict.fromkeys(trial.parameters(), "x\ny")),
    ):
        trial.expect((0,), "stop", said=f"{said} of a running resource", params=params)
        trial.expect(STOPPED, "monitor", said=f"as a probe, after stop {said}")
        if not trial.start():
            return
    trial.expect((0,), "stop")


@rule(begun=True)
def stop_when_the_tools_have_gone(trial: Trial) -> None:
    """stop without the programs it needs stops, or fails; it does not claim a false success."""
    for env in MISSING_TOOLS:
        said = "with " + " ".join(f"{name}={value}" for name, value in env.items())
        stopped = trial.run("stop", said=f"{said} of a running resource", env=env)
        seen = trial.run("monitor", said="as a probe").code
        if stopped.code == 0 and seen != 7:
            trial.find(f"stop {said} says that it has stopped, and a probe says {seen}")
        if not trial.start():
            return


@rule(begun=True)
def monitor_as_nobody_tells_no_lies(trial: Trial) -> None:
    """A monitor without permission to look does not report that the resource is stopped."""
    if trial.run("monitor", said="as nobody", as_nobody=True, interval_s=10).code == 7:
        trial.find("monitor as nobody says that a running resource is stopped")


@rule(begun=True)
def migration_takes_over(trial: Trial) -> None:
    """migrate_to leaves the resource running, and migrate_from brings it up."""
    if not {"migrate_to", "migrate_from"} <= trial.actions():
        return
    trial.expect((0,), "migrate_to")
    trial.expect(RUNNING, "monitor", said="after migrate_to", interval_s=10)
    trial.expect((0,), "stop", said="after migrate_to")
    trial.expect((0,), "migrate_from")
    trial.expect(RUNNING, "monitor", said="after migrate_from", interval_s=10)
    trial.expect((0,), "stop", said="after migrate_from")


@rule(begun=True)
def roles_change(trial: Trial) -> None:
    """promote and demote, each twice: a monitor says 8 and 0 in turn, and a demoted resource stops."""
    if not {"promote", "demote"} <= trial.actions():
        return
    for action, codes in (("promote", PROMOTED), ("demote", RUNNING), ("promote", PROMOTED), ("demote", RUNNING)):
        for said in ("", "of what is in that role already"):
            trial.expect((0,), action, said=said)
            trial.expect(codes, "monitor", said=f"after {action}", interval_s=10)
            trial.expect(codes, "monitor", said=f"as a probe, after {action}")
    trial.expect((0,), "stop", said="after demote")
    trial.expect(STOPPED, "monitor", said="as a probe, after stop")


@rule(needs_start=True)
def killed_at_any_moment(trial: Trial) -> None:
    """After any SIGKILL a probe answers 0, 1 or 7, stop or start repairs the state, and nothing is left."""
    before = trial.place.snapshot()
    for seconds in KILL_AFTER_S:
        for action in ("start", "stop"):
            if action == "stop":
                trial.expect((0,), "start", said="after a start that was killed")
            trial.run(action, kill_after_s=seconds)
            trial.expect((0, 1, 7, 190), "monitor", said=f"as a probe, after a {action} that was killed")
        trial.expect((0,), "stop", said="after a stop that was killed")
        trial.expect(STOPPED, "monitor", said="as a probe, after that")
    trial.compare(before, "after all that")
