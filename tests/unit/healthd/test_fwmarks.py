"""Firewall marks: no two pools share one, and a key keeps its own."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest
from ocfpy.healthd import fwmarks
from ocfpy.healthd.fwmarks import FIRST_MARK, FwmarkAllocator
from ocfpy.ocf.errors import ServiceError


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path)


def test_pools_do_not_share_a_mark(path: str) -> None:
    one, two = FwmarkAllocator(f"{path}/one"), FwmarkAllocator(f"{path}/two")
    assert one.set(["a", "b c"]) == {"a": FIRST_MARK, "b c": FIRST_MARK + 1}
    assert two.set(["a"]) == {"a": FIRST_MARK + 2}
    assert one.held() == {"a": FIRST_MARK, "b c": FIRST_MARK + 1}
    assert one.set(["new", "b c"]) == {"b c": FIRST_MARK + 1, "new": FIRST_MARK}
    assert FwmarkAllocator(f"{path}/one").held() == one.held(), "a daemon of later knows them"


def test_what_is_no_line_is_passed_over(path: str) -> None:
    one = FwmarkAllocator(f"{path}/one")
    one.set(["a"])
    with open(f"{path}/check-marks", "ab") as file:
        file.write(b"\nx one b\n7 one\n\xff\xff")
    assert one.held() == {"a": FIRST_MARK}


def test_the_file_goes_with_the_last_one(path: str) -> None:
    one, two = FwmarkAllocator(f"{path}/one"), FwmarkAllocator(f"{path}/two")
    one.set(["a"])
    two.set(["a"])
    one.set(())
    assert two.held() == {"a": FIRST_MARK + 1}
    two.set(())
    assert not os.path.exists(f"{path}/check-marks")
    assert two.held() == {}


def test_marks_of_other_programs_are_skipped(path: str) -> None:
    one = FwmarkAllocator(f"{path}/one")
    one.set(["a"])
    assert one.set(["a"], [FIRST_MARK, FIRST_MARK + 1]) == {"a": FIRST_MARK + 2}


def test_all_taken(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fwmarks, "MARKS", 2)
    FwmarkAllocator(f"{path}/one").set(["a", "b"])
    with pytest.raises(ServiceError, match="all 2 firewall marks"):
        FwmarkAllocator(f"{path}/two").set(["a"])


def test_a_lock_that_is_held(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fwmarks, "LOCK_TIMEOUT_S", 0.05)
    with open(f"{path}/check-marks.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ServiceError, match="waiting for the lock"):
            FwmarkAllocator(f"{path}/one").set(["a"])


def test_many_at_once(path: str) -> None:
    pools = [FwmarkAllocator(f"{path}/pool-{number}") for number in range(8)]
    threads = [threading.Thread(target=pool.set, args=(["a", "b"],)) for pool in pools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [mark for pool in pools for mark in pool.held().values()]
    assert sorted(held) == list(range(FIRST_MARK, FIRST_MARK + 16))
