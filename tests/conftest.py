"""Makes the library, and the tests' own packages, importable from any working directory of pytest."""
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
for directory in (ROOT, ROOT / "lib"):
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))

# Hypothesis remembers failing examples; like everything that is made here, below build/.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / "build/hypothesis"))

TWICE = ("conformance", "frr", "checks", "lab")
"""What plays with real daemons and kernels is played once more when it fails, the first failure shown all the same: a machine
that others use, too, may stop any of them for seconds."""


ONE_BY_ONE = ("frr", "checks", "lab")
"""Suites whose tests share one site, one set of servers, one lab: a process runs all of such a suite. Of the others, a file."""


# Before pytest-xdist, which reads the groups in the same hook.
@pytest.hookimpl(tryfirst=True)  # type: ignore[misc]
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        suite, *_ = item.path.relative_to(ROOT / "tests").parts
        if suite in TWICE:
            item.add_marker(pytest.mark.flaky(reruns=1))
        item.add_marker(pytest.mark.xdist_group(suite if suite in ONE_BY_ONE else str(item.path)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.write_sep("_", f"failed at first: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
        for title, text in report.sections:
            terminalreporter.write_sep("-", title)
            terminalreporter.write_line(text)
