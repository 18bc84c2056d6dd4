"""Servers whose answers are costly to read: an attempt has a budget of processor time, of memory and of bytes."""

from __future__ import annotations

import asyncio
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ocfpy.checks import budget
from ocfpy.checks.base import Check, CheckFailed, Result
from ocfpy.checks.budget import MAX_RECEIVED, SEARCH_S, WORK_S, within_budget
from ocfpy.checks.expect import matcher
from ocfpy.checks.protocols import ber

from tests.unit.checks.canned import check_of, tell
from tests.unit.checks.test_hostile import NOT_A_REASON, OPTIONS, PIECES

COST_S = 1.0
"""Processor time in seconds; the cases below took 2 to 32 before there was a budget."""
MEMORY = 16 << 20
"""Bytes that an attempt may keep at a time, with its answer, which is there as a whole in these tests."""


def costs(work: Callable[[], Any]) -> tuple[Any, float, int]:
    """What `work` returns, its processor time in seconds without the tracing, and its peak of memory in bytes with it."""
    begun = time.thread_time()
    result = work()
    seconds = time.thread_time() - begun
    tracemalloc.start()
    try:
        work()
        return result, seconds, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def told(check: Check, answer: bytes) -> Result:
    return tell(check, [answer[at : at + 65536] for at in range(0, len(answer), 65536)] if answer else [])[0]


def bounded(make: Callable[[], Check], answer: bytes) -> Result:
    result, seconds, memory = costs(lambda: told(make(), answer))
    assert seconds < COST_S
    assert memory < MEMORY
    assert isinstance(result, Result)
    return result


# The budget itself

def test_work_without_end_ends_in_the_middle() -> None:
    async def attempt() -> None:
        while True:
            sum(range(1000))

    begun = time.thread_time()
    with pytest.raises(CheckFailed, match="takes more than 500 ms of processor time"):
        asyncio.run(_await(attempt()))
    assert WORK_S <= time.thread_time() - begun < 2 * WORK_S


def test_all_steps_of_an_attempt_have_one_budget() -> None:
    steps = 0

    async def attempt() -> None:
        nonlocal steps
        while True:
            begun = time.thread_time()
            while time.thread_time() - begun < WORK_S / 10:
                pass
            steps += 1
            await asyncio.sleep(0)

    with pytest.raises(CheckFailed, match="processor time"):
        asyncio.run(_await(attempt()))
    assert 5 <= steps <= 10


def test_an_exception_that_is_swallowed_is_raised_again() -> None:
    async def attempt() -> None:
        for _ in range(3):
            try:
                while True:
                    sum(range(1000))
            except BaseException:  # as a finalizer does it
                pass
        while True:
            sum(range(1000))

    begun = time.thread_time()
    with pytest.raises(CheckFailed, match="processor time"):
        asyncio.run(_await(attempt()))
    assert time.thread_time() - begun < 3 * WORK_S


def test_the_budget_of_one_attempt_is_not_that_of_the_next() -> None:
    async def work(seconds: float) -> str:
        begun = time.thread_time()
        while time.thread_time() - begun < seconds:
            pass
        return "done"

    async def story() -> list[str]:
        return [await within_budget(work(WORK_S * 0.6)) for _ in range(2)]

    assert asyncio.run(story()) == ["done"] * 2
    assert budget.current().work_s == WORK_S
    begun = time.thread_time()
    while time.thread_time() - begun < WORK_S * 1.2:  # no timer is left behind
        pass


def test_an_attempt_that_is_cancelled_ends_where_it_waits() -> None:
    seen: list[str] = []

    async def attempt() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def story() -> None:
        task = asyncio.ensure_future(_await(attempt()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(story())
    assert seen == ["cancelled"]


def test_bytes_are_counted_for_all_of_an_attempt() -> None:
    result = told(check_of("smtp"), b"220-more\r\n" * (MAX_RECEIVED // 4))
    assert not result.ok  # lines have a limit of their own

    async def attempt() -> None:
        for _ in range(3):
            budget.count_received(MAX_RECEIVED // 2)
            await asyncio.sleep(0)

    with pytest.raises(CheckFailed, match="the server sends more than 8 MiB"):
        asyncio.run(_await(attempt()))


def test_as_many_bytes_as_there_may_be_are_no_failure() -> None:
    async def attempt(size: int) -> None:
        budget.count_received(size)

    asyncio.run(_await(attempt(MAX_RECEIVED)))
    with pytest.raises(CheckFailed, match="the server sends more than 8 MiB"):
        asyncio.run(_await(attempt(MAX_RECEIVED + 1)))


def test_all_searches_of_an_attempt_have_one_budget() -> None:
    def search(seconds: float) -> None:
        begun = time.thread_time()
        while time.thread_time() - begun < seconds:
            sum(range(1000))

    spent = budget.Budget()
    spent.search(lambda: search(SEARCH_S * 0.6))
    assert spent.search_s <= SEARCH_S * 0.4
    with pytest.raises(budget.OutOfTime):
        spent.search(lambda: search(60))
    assert spent.search_s <= 0


def test_another_thread_works_without_the_signal() -> None:
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(matcher("re:o+k")("ook")))
    thread.start()
    thread.join(20)
    assert results == [True]


async def _await(attempt: Any) -> Any:
    return await within_budget(attempt)


# Regular expressions: the time is for the answer, not for each of its rows or lines

CATASTROPHE = "re:^(a+)+$"
HOSTILE_LINE = b"a" * 40 + b"b"


def test_a_search_has_its_time_once_in_an_attempt() -> None:
    found = matcher(CATASTROPHE)

    async def attempt() -> int:
        refused = 0
        for _ in range(200):
            try:
                found(HOSTILE_LINE.decode())
            except CheckFailed:
                refused += 1
        return refused

    begun = time.thread_time()
    assert asyncio.run(_await(attempt())) == 200
    assert time.thread_time() - begun < 3 * SEARCH_S


def mysql_rows() -> bytes:
    def packet(number: int, content: bytes) -> bytes:
        return len(content).to_bytes(3, "little") + bytes((number % 256,)) + content

    greeting = b"\x0a8.0\0" + bytes(4) + b"saltsalt" + b"\0\xff\xff\x2d\2\0\xff\xdf\x15" + bytes(10) + b"saltsaltsalt\0"
    greeting += b"mysql_native_password\0"
    end = b"\xfe\0\0\2\0"
    rows = [b"\1", b"\3def", end, *[bytes((len(HOSTILE_LINE),)) + HOSTILE_LINE] * 500, end]
    return packet(0, greeting) + packet(2, b"\0\0\0") + b"".join(packet(n, row) for n, row in enumerate(rows, 1))


def postgresql_rows() -> bytes:
    row = b"\0\1" + struct.pack("!I", len(HOSTILE_LINE)) + HOSTILE_LINE
    return b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I" + (b"D" + struct.pack("!I", 4 + len(row)) + row) * 500 + b"Z\0\0\0\x05I"


@pytest.mark.parametrize(("kind", "rows"), [("mysql", mysql_rows), ("postgresql", postgresql_rows)])
def test_rows_that_a_pattern_cannot_cope_with(kind: str, rows: Callable[[], bytes]) -> None:
    result = bounded(lambda: check_of(kind, user="u", secret="", expect=CATASTROPHE), rows())
    assert result.reason == f"'{CATASTROPHE}' takes more than 100 ms for the answer: avoid a repetition within another"


# DNS

def question(name: bytes = b"\3www\7example\3com\0", rdtype: int = 1) -> bytes:
    return name + struct.pack("!HH", rdtype, 1)


def dns_bomb(size: int, rdtype: int, asked: int) -> bytes:
    """An answer full of records, each of them named by a pointer to a name of 127 labels, and with another one in it."""
    long_name = b"\1a" * 127 + b"\0"
    body = question(rdtype=asked)
    pointer = struct.pack("!H", 0xC000 | 12 + len(body) + 11)
    body += b"\0" + struct.pack("!HHIH", 10, 1, 0, len(long_name)) + long_name  # in a record of the type NULL
    record = pointer + struct.pack("!HHIH", rdtype, 1, 0, 2) + pointer
    count = (size - 12 - len(body)) // len(record)
    return bytes(2) + struct.pack("!HHHHH", 0x8180, 1, count + 1, 0, 0) + body + record * count


@pytest.mark.parametrize("rdtype", [2, 5], ids=["another type", "the type that is asked for"])
@pytest.mark.parametrize("size", [4096, 65535])
def test_dns_names_that_lead_to_long_names(size: int, rdtype: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", bytes)
    bomb = dns_bomb(size, rdtype, 5)
    answer = len(bomb).to_bytes(2, "big") + bomb
    check = {"name": "www.example.com", "rdtype": "CNAME", "transport": "tcp", "expect": "nowhere"}
    result = bounded(lambda: check_of("dns", **check), answer)
    if rdtype == 2:
        assert result.reason == "no CNAME record of www.example.com in the answer"
    else:
        assert result.reason.startswith("no 'nowhere' among the records: a.a.a.")


# LDAP

def ldap_entry(name: bytes, values: bytes) -> bytes:
    """The answers to a bind and a search: one entry that has an attribute with these values, encoded."""
    attribute = ber.encode(ber.SEQUENCE, ber.encode(ber.OCTETS, name), ber.encode(0x31, values))
    entry = ber.encode(0x64, ber.encode(ber.OCTETS, b"dc=x"), ber.encode(ber.SEQUENCE, attribute))
    fine = ber.integer(0, ber.ENUMERATED) + b"\4\0\4\0"
    return b"".join(
        ber.encode(ber.SEQUENCE, ber.integer(number), operation)
        for number, operation in ((2, ber.encode(0x61, fine)), (3, entry), (3, ber.encode(0x65, fine)))
    )


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        (b"a", b"\4\0" * 500_000, ""),
        (b"n" * 100_000, b"\4\0" * 400_000, "not an LDAP answer: the name of an attribute has 100000 bytes"),
        (b"n" * 1000, b"\4\0" * 500_000, ""),
        (b"a", b"\4\0" * 1000, "no 'nowhere' in the entry found"),
    ],
    ids=["empty values", "a long name", "a name of the greatest length", "what is not too much"],
)
def test_ldap_entries_full_of_values(name: bytes, values: bytes, reason: str) -> None:
    result = bounded(lambda: check_of("ldap", expect="nowhere"), ldap_entry(name, values))
    assert not result.ok
    assert result.reason == reason or not reason  # what the first and third end with depends on the processor


# Every protocol: anything, again and again, costs no more than the budget

FUZZ = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
MANY = 128 << 10
"""Bytes that each piece is repeated to."""
REPEATED = st.lists(
    st.tuples(st.sampled_from(PIECES) | st.binary(min_size=1, max_size=60), st.booleans()), min_size=1, max_size=6
)


@pytest.mark.parametrize("kind", sorted(OPTIONS))
@FUZZ
@given(pieces=REPEATED, pattern=st.booleans())
def test_anything_again_and_again_is_bounded(kind: str, pieces: list[tuple[bytes, bool]], pattern: bool) -> None:
    answer = b"".join(piece * (MANY // len(piece) if again else 1) for piece, again in pieces)
    options = {**OPTIONS[kind], **({"expect": CATASTROPHE} if pattern and "expect" in OPTIONS[kind] else {})}
    result = bounded(lambda: check_of(kind, **options), answer)
    assert result.ok == (not result.reason)
    assert not NOT_A_REASON.search(result.reason)
    assert result.reason.isprintable()


def test_http_answers_of_tiny_chunks() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1_000_000
    assert not bounded(lambda: check_of("http", expect="hello"), answer).ok


@pytest.mark.parametrize("length", [b"9" * 10_000, b"0" * 10_000 + b"5"])
def test_http_lengths_of_10_000_digits(length: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nhello"
    assert bounded(lambda: check_of("http", expect="hello"), answer).ok
