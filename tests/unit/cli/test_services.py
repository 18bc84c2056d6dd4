"""anycastctl services: exit codes, and what goes where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ocfpy.cli.main import main

GOOD = "services: {web: {addresses: [192.0.2.80], ports: [tcp/80], real_servers: [10.0.0.1], check_interval: 500}}\n"
BAD = "services: {web: {addresses: [192.0.2.80], ports: [80], real_servers: [10.0.0.1], fall: 0}}\n"
LIB = Path(__file__).resolve().parents[3] / "lib"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "services.yaml"


def test_check_of_a_good_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD)
    assert main(["services", "check", str(file)]) == 0
    warning, summary = capsys.readouterr().out.splitlines()
    assert warning.startswith(f"{file}:1:86: warning: check_interval: 500 is 500 s; write 500ms for milliseconds")
    assert summary == f"{file}: no errors; services: 1, resources: 3"


def test_check_of_a_bad_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(BAD)
    assert main(["services", "check", str(file)]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"{file}:1:51: ports: '80' has no protocol: write tcp/80 or udp/80",
        f"{file}:1:82: fall: '0' is less than 1",
    ]
    assert said.err == ""


def test_check_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(BAD)
    assert main(["services", "check", "--json", str(file)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    assert found["errors"] == [
        {"line": 1, "column": 51, "message": "ports: '80' has no protocol: write tcp/80 or udp/80"},
        {"line": 1, "column": 82, "message": "fall: '0' is less than 1"},
    ]
    file.write_text(GOOD)
    assert main(["services", "check", "--json", str(file)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["valid"], found["services"], found["resources"], found["errors"]) == (True, 1, 3, [])
    assert [warning["line"] for warning in found["warnings"]] == [1]


@pytest.mark.parametrize("kind", ["crm", "pcs", "xml", "ansible"])
def test_export_of_a_bad_file_writes_nothing(file: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(BAD)
    assert main(["services", "export", "--to", kind, str(file)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[0] == f"{file}:1:51: ports: '80' has no protocol: write tcp/80 or udp/80"
    file.write_text(GOOD)
    assert main(["services", "export", "--to", kind, str(file)]) == 0
    assert "web-vip4" in capsys.readouterr().out


def test_a_file_that_is_not_there_or_not_text(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["services", "export", "--to", "crm", str(file)]) == 1
    assert capsys.readouterr().err == f"anycastctl: {file}: No such file or directory\n"
    file.write_bytes(b"services:\n  caf\xe9: {}\n")
    assert main(["services", "check", str(file)]) == 1
    assert capsys.readouterr().out == f"{file}:2:6: the file is not UTF-8\n"


@pytest.mark.parametrize("words", [["services"], ["services", "chek", "f"], ["services", "export", "f"], ["services", "check"]])
def test_a_call_that_is_not_understood(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


def test_other_commands_do_without_the_catalogue() -> None:
    """status and metrics are asked every few seconds; they load neither PyYAML nor the agents."""
    program = "import sys; from ocfpy.cli.main import main; main(['status', '--rundir', '/none']); print(sorted(sys.modules))"
    done = python(program, subprocess.PIPE)
    assert done.returncode == 0
    assert "'ocfpy.cli.main'" in done.stdout
    for name in ("'yaml'", "'lxml'", "ocfpy.services", "ocfpy.agents"):
        assert name not in done.stdout


def test_a_reader_that_went_away(file: Path) -> None:
    file.write_text(GOOD)
    reader, writer = os.pipe()
    os.close(reader)
    arguments = ["services", "export", "--to", "ansible", str(file)]
    done = python(f"import sys; from ocfpy.cli.main import main; sys.exit(main({arguments!r}))", writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def python(program: str, stdout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    environment = {"PYTHONPATH": str(LIB)}
    return subprocess.run(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60)
