"""The checker: an unprivileged child of the health daemon that runs the checks and alone reads what servers send.

It inherits these descriptors: CONTROL_FD, a stream to the keeper (checker_protocol.py); SOCKETS_FD, over which the keeper
passes sockets; PAGE_FD, the page that says which check runs; and the directory of the library.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import socket
import time
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ocfpy.checks import make_check
from ocfpy.checks.base import Check, readable
from ocfpy.checks.registry import TYPES, kind_of
from ocfpy.healthd import strays
from ocfpy.healthd.allowance import allowance_of_faults
from ocfpy.healthd.check_loop import CheckLoop, ScheduledCheck
from ocfpy.healthd.check_state import CheckState
from ocfpy.healthd.checker_launch import LIBRARY_FD
from ocfpy.healthd.checker_protocol import (
    DETAILS_IN_A_LINE,
    HEARTBEAT_S,
    LineReader,
    encode,
    read_request,
    result_fields,
)
from ocfpy.healthd.checker_provider import FileStore, KeeperProvider, SocketBroker, Via
from ocfpy.healthd.privileges import User, become, set_limits
from ocfpy.healthd.running_check import SIZE, Mark, Marked
from ocfpy.ocf.codes import OCF_ERR_GENERIC
from ocfpy.ocf.errors import OcfError, one_line
from ocfpy.pool.hysteresis import Verdict

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ocfpy.checks.result import Result
    from ocfpy.healthd.checker_protocol import Asked

    Said = tuple[object, ...]

CONTROL_FD, SOCKETS_FD, PAGE_FD = 3, 4, 5
RECEIVE_SIZE = 65536
"""Bytes read from the keeper in one pass of the event loop: about a hundred checks are made before it hears from us."""
LONGEST_ORDER = 1 << 24
"""Longest line from the keeper, in bytes, with a file of certificates in it."""


def main(argv: list[str]) -> None:
    """Run the checker. Never returns."""
    control = socket.socket(fileno=CONTROL_FD)
    sockets = socket.socket(fileno=SOCKETS_FD)
    try:
        for fd in (CONTROL_FD, SOCKETS_FD, PAGE_FD, LIBRARY_FD):
            os.set_inheritable(fd, False)
        uid, gid, groups, change = argv[1:5]
        user = User("", int(uid), int(gid), tuple(map(int, groups.split())), change == "1")
        set_limits()
        become(user, _can_import, _import_all)
        page = mmap.mmap(PAGE_FD, SIZE)
        asyncio.run(_work(control, sockets, page))
    except BaseException:
        try:
            control.send(encode("fault", one_line(traceback.format_exc())[-300:]))
        except OSError:
            pass
    os._exit(1)


async def _work(control: socket.socket, sockets: socket.socket, page: mmap.mmap) -> None:
    await Checker(control, sockets, page).run()


def _modules() -> list[str]:
    return sorted({kind.module for kind in TYPES.values() if kind.module})


def _can_import() -> bool:
    """Return whether this process, as its current user, can read every module that it may import later."""
    library = f"/proc/self/fd/{LIBRARY_FD}/ocfpy/checks"
    for path in (os.__file__, *(f"{library}/{name}.py" for name in _modules()), f"{library}/tls.py"):
        try:
            with open(path, "rb"):
                pass
        except OSError:
            return False
    return True


def _import_all() -> None:
    """Import every module that a check may need: 12 MiB that are otherwise imported only where they are used."""
    for name in _modules():
        try:
            import_module(f"ocfpy.checks.{name}")
        except ImportError:
            pass  # a package that this node does not have: the keeper is told when a check needs it
    for name in ("ssl", "ocfpy.checks.tls", "ocfpy.checks.protocols.ldap_search", "ocfpy.checks.pattern", "encodings.idna"):
        import_module(name)


class Running:
    """One running check, and what the keeper was last told of it."""

    __slots__ = ("mark", "number", "scheduled", "state", "told")

    def __init__(self, number: int, state: CheckState, mark: Mark) -> None:
        self.number = number
        self.state = state
        self.mark = mark
        self.told: Said | None = None
        self.scheduled: ScheduledCheck | None = None

    def news(self) -> Said:
        """The values that the keeper is told when one of them changes."""
        state, result = self.state, self.state.result
        assert result is not None
        return (*vars(state.verdict).values(), result.ok is None, result.reason, result.weight)


class Checker:
    """Obeys the keeper, and tells it what changes. The keeper's messages are trusted."""

    def __init__(self, control: socket.socket, sockets: socket.socket, page: mmap.mmap) -> None:
        control.setblocking(False)
        self._event_loop = asyncio.get_running_loop()
        self._control = control
        self._page = page
        self._files = FileStore()
        self._broker = SocketBroker(sockets)
        self._loop = CheckLoop(time.time, self._fault, wrap=self._marked)
        self._checks: dict[int, Running] = {}
        self._by_state: dict[CheckState, Running] = {}
        self._changed: dict[int, None] = {}
        self._faults = allowance_of_faults()
        self._lines: list[bytes] = []
        self._out = b""
        self._flushing = False
        self._reader = LineReader(self._order, LONGEST_ORDER)

    async def run(self) -> None:
        """Run until the keeper ends."""
        self._event_loop.set_exception_handler(lambda _, context: self._fault(context.get("exception") or context["message"]))
        self._event_loop.add_reader(self._control.fileno(), self._read)
        while True:
            self._send(b"\n" if not self._out else b"")
            strays.end_strays()
            await asyncio.sleep(HEARTBEAT_S)

    def _read(self) -> None:
        try:
            data = self._control.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return
        if not data:
            self._end()
        try:
            self._reader.feed(data)
        except BaseException:  # a lost order would be a check that never runs: the next checker gets all of them
            self._send(encode("fault", one_line(traceback.format_exc())[-300:]))
            os._exit(1)

    def _end(self) -> None:
        """End when the keeper is gone: no command of a check outlives it."""
        strays.end_commands()
        os._exit(0)

    def _order(self, line: bytes) -> None:
        word, *rest = json.loads(line)
        getattr(self, f"_order_{word}")(*rest)

    def _order_files(self, key: list[str], contents: dict[str, str], error: str) -> None:
        self._files.put(tuple(key), contents, error)

    def _order_test(self, number: int, document: dict[str, Any]) -> None:
        with Mark(self._page, number):
            try:
                self._make(number, read_request(document))
                self._tell("made", number)
            except OcfError as error:
                self._tell("refused", number, error.code, readable(error.reason))
            except Exception as error:
                text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
                self._tell("refused", number, OCF_ERR_GENERIC, readable(text))

    def _order_begin(
        self, number: int, document: dict[str, Any], up: bool | None, against: int, trusted: bool
    ) -> None:
        mark = Mark(self._page, number)
        with mark:
            asked = read_request(document)
            state = CheckState(asked.name, asked.settings, Verdict(up, against, trusted), time.time())
            running = self._checks[number] = Running(number, state, mark)
            self._by_state[state] = running
            try:
                check = self._make(number, asked)
            except Exception as error:  # the same check could be made when it was tested
                check = _Unmakable(error)
            running.scheduled = self._loop.begin(state, check, self._note)

    def _order_trust(self, number: int) -> None:
        state = self._checks[number].state
        if state.verdict.up is None:
            state.verdict = Verdict(None, state.verdict.against, True)

    def _order_end(self, number: int) -> None:
        running = self._checks.pop(number)
        del self._by_state[running.state]
        self._changed.pop(number, None)
        if running.scheduled is not None:
            running.scheduled.end()

    def _order_details(self, token: int) -> None:
        rows = [
            (running.number, round(running.state.result.seconds, 6), round(running.state.next_at, 3))
            for running in self._checks.values()
            if running.state.result is not None
        ]
        for at in range(0, max(1, len(rows)), DETAILS_IN_A_LINE):
            self._tell("details", token, rows[at : at + DETAILS_IN_A_LINE], at + DETAILS_IN_A_LINE >= len(rows))

    def _make(self, number: int, asked: Asked) -> Check:
        kind_of(asked.settings.type)
        way: Any = Via(asked.hint) if asked.hint is not None else None
        provider = KeeperProvider(number, self._files, self._broker)
        return make_check(asked.address, asked.port, asked.settings, asked.virtual, way, provider)

    def _marked(self, scheduled: ScheduledCheck, work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
        running = self._by_state.get(scheduled.state)
        return Marked(running.mark, work) if running is not None else work

    def _note(self, state: CheckState, before: Verdict, percent: int) -> None:
        running = self._by_state[state]
        if running.news() != running.told:
            self._changed[running.number] = None
            self._flush_soon()

    def _fault(self, error: BaseException | str) -> None:
        text = error if isinstance(error, str) else "".join(traceback.format_exception(type(error), error, error.__traceback__))
        if self._faults.take():
            self._tell("fault", one_line(text)[-300:])

    def _tell(self, *message: object) -> None:
        self._lines.append(encode(*message))
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._event_loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what changed. Changes that come while the keeper does not read are sent once, in their latest state."""
        self._flushing = False
        if self._out:
            return
        lines, self._lines = self._lines, []
        changed, self._changed = self._changed, {}
        for number in changed:
            running = self._checks[number]
            state = running.state
            assert state.result is not None
            running.told = running.news()
            lines.append(encode("result", number, *result_fields(state.verdict, state.result, state.next_at)))
        self._send(b"".join(lines))

    def _send(self, data: bytes) -> None:
        self._out += data
        try:
            sent = self._control.send(self._out) if self._out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end()
        self._out = self._out[sent:]
        if self._out:
            self._event_loop.add_writer(self._control.fileno(), self._writable)

    def _writable(self) -> None:
        self._event_loop.remove_writer(self._control.fileno())
        self._send(b"")
        if not self._out:
            self._flush()


class _Unmakable(Check):
    """A check that cannot be made, although its test succeeded."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def run(self) -> Result:
        """Raise the error."""
        raise self._error

