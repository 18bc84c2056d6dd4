"""The lab that all tests here share, and what is kept of it when one of them fails."""
from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.testbed import VIP4, VIP6, Lab, LabError, wait_for
from tests.lab.testbed.bench import Bench
from tests.lab.testbed.rootfs import CACHE

_running: Lab | None = None


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Two sites, booted, BGP up. Where user-mode Linux does not run this is an error, never a skip."""
    global _running
    with Lab() as running:
        _running = running
        yield running
    _running = None


@pytest.fixture(scope="session")
def served(lab: Lab) -> Lab:
    """The lab with both clusters online and recommended.crm loaded on both sites."""
    lab.start_clusters()
    lab.load_examples()
    return lab


@pytest.fixture
def steady(served: Lab) -> Lab:
    """The lab as it should be before a test: everything runs, site A serves, no failure is remembered."""
    for site in served.sites:
        if site.cluster.failed_actions() or site.cluster.fail_counts():
            site.cluster.run("crm_resource --cleanup", timeout=60).check()
        for resource in ("bgp4", "bgp6"):
            site.cluster.wait_active(resource)
        site.cluster.wait_idle()
        wait_for(lambda site=site: not site.cluster.failed_actions(), 30, "no failed action")  # type: ignore[misc]
    for vip in (VIP4, VIP6):
        served.core.wait_route(vip, "router-a")
    return served


@pytest.fixture(scope="session")
def bench(lab: Lab) -> Iterator[Bench]:
    """A node with only what the package depends on, its BGP session up."""
    bench = Bench(lab.fabric, lab.directory / "bench")
    try:
        bench.start()
        yield bench
    finally:
        bench.close()


@pytest.hookimpl(hookwrapper=True)  # type: ignore[misc]
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Keep states and logs of a failed test in build/lab/logs/TEST, and show the clusters with the failure."""
    outcome: Any = yield
    report = outcome.get_result()
    if not report.failed or _running is None:
        return
    if stalls := _running.stall_watch.since(time.time() - report.duration):
        report.sections.append(("host", stalls))
    directory = CACHE / "logs" / re.sub(r"[^\w.-]+", "-", item.name)
    for site in _running.sites:
        if site.cluster.started:
            try:
                report.sections.append((f"site {site.name}", site.cluster.status()))
            except LabError as error:
                report.sections.append((f"site {site.name}", str(error)))
    try:
        _running.dump(directory)
        report.sections.append(("logs", str(directory)))
    except Exception as error:
        report.sections.append(("logs", f"none: {error}"))
