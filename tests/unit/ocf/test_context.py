"""What an agent learns about its call."""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ocf.context import Context
from ocfpy.ocf.errors import DeadlineError
from ocfpy.ocf.state import StateFile

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event
    from pathlib import Path

META = "OCF_RESKEY_CRM_meta_"


def test_everything_has_a_default() -> None:
    context = Context(["/usr/lib/ocf/resource.d/anycast/toy"], {})
    assert (context.action, context.agent_name, context.instance, context.resource) == (
        "",
        "toy",
        "default",
        "default",
    )
    assert (context.timeout, context.interval, context.check_level) == (20.0, 0.0, 0)
    assert context.params == {}
    assert context.node == os.uname().nodename
    assert context.rundir == "/run/resource-agents/ocfpy"


def test_parameters_leave_out_meta_and_empty_ones() -> None:
    environ = {
        "OCF_RESKEY_ip": "x",
        "OCF_RESKEY_nic": "",
        META + "timeout": "1000",
        "OCF_RESOURCE_INSTANCE": "a",
    }
    assert Context(["toy"], environ).params == {"ip": "x"}


@pytest.mark.parametrize("blanks", [" ", "   ", "\t "])
def test_a_parameter_of_blanks_is_unset(blanks: str) -> None:
    environ = {"OCF_RESKEY_ip": " x ", "OCF_RESKEY_nic": blanks}
    assert Context(["toy"], environ).params == {"ip": " x "}


@pytest.mark.parametrize(
    ("instance", "resource"),
    [("pool", "pool"), ("pool:0", "pool"), ("pool:12", "pool"), ("a:b", "a:b"), (":1", ":1")],
)
def test_clone_numbers(instance: str, resource: str) -> None:
    context = Context(["toy"], {"OCF_RESOURCE_INSTANCE": instance})
    assert (context.instance, context.resource, context.key) == (instance, resource, resource)


def test_instances_of_a_globally_unique_clone_are_told_apart() -> None:
    environ = {"OCF_RESOURCE_INSTANCE": "pool:1", META + "globally_unique": "true"}
    assert Context(["toy"], environ).state.path.endswith("/toy-pool:1.state")


@pytest.mark.parametrize(
    ("action", "interval", "probe"),
    [
        ("monitor", None, True),
        ("monitor", "0", True),
        ("monitor", "", True),
        ("monitor", "2000", False),
        ("start", None, False),
    ],
)
def test_probe(action: str, interval: str | None, probe: bool) -> None:
    environ = {} if interval is None else {META + "interval": interval}
    assert Context(["toy", action], environ).is_probe is probe


@pytest.mark.parametrize(
    ("timeout", "seconds"), [("20000", 19.0), ("2000", 1.5), ("600", 0.3), ("600000", 570.0)]
)
def test_deadline_leaves_time_for_an_answer(timeout: str, seconds: float) -> None:
    assert Context(["toy"], {META + "timeout": timeout}).deadline.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("age", "seconds"), [(0.0, 19.0), (5.0, 14.0), (18.5, 0.75), (19.999, 0.0005), (20.0, 19.0), (86400.0, 19.0)]
)
def test_deadline_counts_from_when_the_cluster_began_to_wait(age: float, seconds: float) -> None:
    """A process that is older than its timeout is not under Pacemaker's clock: it has been exec'ed by hand."""
    context = Context(["toy"], {META + "timeout": "20000"}, age_s=age)
    assert context.deadline.seconds == pytest.approx(seconds)


@given(st.dictionaries(st.sampled_from([META + "timeout", META + "interval", "OCF_CHECK_LEVEL"]), st.text()))
def test_nonsense_reads_as_absent(environ: dict[str, str]) -> None:
    context = Context(["toy", "monitor"], environ)
    assert context.timeout > 0
    assert context.deadline.remaining() > 0


def test_instance_cannot_leave_the_directory(tmp_path: Path) -> None:
    context = Context(["toy"], {"OCF_RESOURCE_INSTANCE": "../../x", "HA_RSCTMP": str(tmp_path)})
    assert os.path.dirname(context.state.path) == f"{tmp_path}/ocfpy"


def test_other_claims(tmp_path: Path) -> None:
    def context(instance: str, agent: str = "toy") -> Context:
        return Context([agent], {"OCF_RESOURCE_INSTANCE": instance, "HA_RSCTMP": str(tmp_path)})

    assert context("a").other_claims("toy") == []
    for name in ("a", "b", "c"):
        context(name).state.write({"ip": name})
    context("d", agent="other").state.write({"ip": "d"})
    assert context("a").other_claims("toy") == [("b", {"ip": "b"}), ("c", {"ip": "c"})]
    assert context("a").other_claims("other") == [("d", {"ip": "d"})]


def _hold(rundir: str, taken: Event, done: Event) -> None:
    with Context(["toy"], {"HA_RSCTMP": rundir}).lock("shared"):
        taken.set()
        done.wait(10)


def test_lock_waits_for_the_holder_and_not_forever(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    taken, done = fork.Event(), fork.Event()
    holder = fork.Process(target=_hold, args=(str(tmp_path), taken, done))
    holder.start()
    try:
        assert taken.wait(10)
        impatient = Context(["toy"], {"HA_RSCTMP": str(tmp_path), META + "timeout": "200"})
        with pytest.raises(DeadlineError, match=r"the lock .*/shared\.lock"), impatient.lock("shared"):
            pass
        done.set()
        with Context(["toy"], {"HA_RSCTMP": str(tmp_path)}).lock("shared"):
            pass
    finally:
        holder.kill()
        holder.join()


def test_lock_dies_with_its_holder(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    taken, done = fork.Event(), fork.Event()
    holder = fork.Process(target=_hold, args=(str(tmp_path), taken, done))
    holder.start()
    assert taken.wait(10)
    holder.kill()
    with Context(["toy"], {"HA_RSCTMP": str(tmp_path)}).lock("shared"):
        pass
    holder.join()


def test_state_file_handles_are_for_this_resource(tmp_path: Path) -> None:
    context = Context(["toy"], {"HA_RSCTMP": str(tmp_path), "OCF_RESOURCE_INSTANCE": "web:3"})
    assert isinstance(context.state, StateFile)
    assert context.state.path == f"{tmp_path}/ocfpy/toy-web.state"
