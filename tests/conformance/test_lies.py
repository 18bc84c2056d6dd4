"""Lied to anywhere: 10,000 lies in parameters and environment, each ending in a defined code and one line of reason."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ocfpy.testkit import Executor, Sandbox

from tests.conformance.lies import environ_of, wrong
from tests.conformance.subjects import SUBJECTS

if TYPE_CHECKING:
    from tests.conformance.subjects import Subject

LIES = Path(__file__).with_name("lies.py")
CASES, PROCESSES = 2500, 60
LIMIT_S = 900  # a minute by itself


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s.agent != "sample"], indirect=True, ids=str)
def test_lied_to(subject: Subject, sandbox: Sandbox, agent: Executor) -> None:
    """In one process, then the first of them as real ones, which have a Python of their own and a real clock."""
    argv = ["/usr/bin/python3", str(LIES), subject.agent, str(CASES), str(PROCESSES), json.dumps(subject.params)]
    done = subprocess.run([*sandbox.enter, *argv], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    print(subject, answer["cases"], answer["codes"])
    assert answer["wrong"] == []
    assert answer["cases"] >= CASES
    found = []
    for action, params, environment in answer["kept"]:
        environ = environ_of(action, params, environment)
        word = "monitor" if action == "probe" else action
        if all(len(value) < 100_000 for value in environ.values()):
            result = agent.run(word, env=environ, replace_env=True)
            fault = wrong(word, action == "probe", result.code, result.err)
            found += [(fault, action, params, environment, result)] if fault else []
    assert found == []
