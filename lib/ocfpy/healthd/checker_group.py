"""Checks that share a checker, and that checker: when it is lost, its replacement gets all checks and their verdicts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Callable

from ocfpy.checks.result import Result
from ocfpy.healthd.allowance import allowance_of_faults, allowance_of_process
from ocfpy.healthd.checker_process import BUSY_S, CheckerProcess, Ended
from ocfpy.healthd.checker_protocol import (
    DETAILS_IN_A_LINE,
    Malformed,
    Refused,
    decode,
    encode,
    identifier,
    read_details,
    read_refused,
    read_result,
    request_document,
    text,
)
from ocfpy.healthd.orphans import kill_orphans
from ocfpy.healthd.secret_watch import file_keys
from ocfpy.ocf.errors import OcfError, ServiceError, one_line
from ocfpy.pool.hysteresis import Verdict

if TYPE_CHECKING:
    from ocfpy.healthd.check_request import CheckRequest
    from ocfpy.healthd.privileges import User
    from ocfpy.healthd.secret_watch import SecretWatch
    from ocfpy.healthd.shared_check import SharedCheck
    from ocfpy.ocf.context import Log

BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a dead checker is replaced: the first time, the second time in a row, and so on."""
STEADY_S = 30.0
"""A checker that has lived this long resets the back-off."""
TEST_S = 20.0
"""How long to wait for the answer to "can this check be made?", replacements of the checker included."""
STARTS_TRIED = 2
"""A checker that died this many times before its first message will do so again."""
TESTS_KILLED = 2
"""A test that ended the checker this many times is answered with no."""


class _Test:
    def __init__(self, request: CheckRequest) -> None:
        self.request = request
        self.answer: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()
        self.killed = 0


class CheckerGroup:
    """`changed` is called for each check with news, `blame` for the check that ran when the checker died or froze.

    `name` is the checker's name in the log, `new_mark` returns the mark of its commands, `replaced` is called for each
    replacement.
    """

    def __init__(
        self,
        user: User,
        name: str,
        new_mark: Callable[[], str],
        log: Log,
        files: SecretWatch,
        changed: Callable[[SharedCheck], None],
        blame: Callable[[SharedCheck], None],
        count: Callable[[], None],
    ) -> None:
        self._user = user
        self._name = name
        self._new_mark = new_mark
        self._log = log
        self._files = files
        self._tell = changed
        self._blame = blame
        self._count = count
        self._loop = asyncio.get_running_loop()
        self.checks: dict[int, SharedCheck] = {}
        self.replaced = 0
        self._tests: dict[int, _Test] = {}
        self._details: dict[int, asyncio.Future[None]] = {}
        self._token = 0
        self._fault = ""
        self._told = 0
        """The greatest check number that the checker was given."""
        self._known_files: set[tuple[str, ...]] = set()
        self._suspect: SharedCheck | None = None
        """The check about which the checker has said too much."""
        self._said = allowance_of_process()
        self._faults = allowance_of_faults()
        self._process: CheckerProcess | None = None
        self._died_in_a_row = 0
        self._started_at = 0.0
        self._lost_at = self._loop.time()
        self._start_timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._dead = asyncio.Event()
        self._start()

    @property
    def pid(self) -> int | None:
        """The checker's process, None while there is none."""
        return self._process.pid if self._process else None

    def lost_for(self) -> float:
        """Return for how many seconds no checker has worked; 0.0 while one does."""
        return 0.0 if self._process is not None and self._process.ready else self._loop.time() - self._lost_at

    @property
    def busy(self) -> bool:
        """Return whether it has anything to do."""
        return bool(self.checks or self._tests)

    async def stop(self) -> None:
        """End the checker for good; return when it and its commands are dead."""
        self._stopping = True
        if self._start_timer is not None:
            self._start_timer.cancel()
        if self._process is not None:
            self._process.kill()
            await self._dead.wait()

    async def test(self, number: int, request: CheckRequest) -> None:
        """Raise OcfError if the checker cannot make this check or does not answer."""
        test = self._tests[number] = _Test(request)
        self._send_files(request)
        self._send(number, "test", number, request_document(request))
        try:
            refused = await asyncio.wait_for(test.answer, TEST_S)
        except asyncio.TimeoutError:
            raise ServiceError(f"the checker did not answer within {TEST_S:g} s") from None
        finally:
            del self._tests[number]
        if refused is not None:
            error = OcfError(refused.reason)
            error.code = refused.code or error.code
            raise error

    def begin(self, shared: SharedCheck) -> None:
        """Have a check run from now on."""
        self.checks[shared.number] = shared
        self._send_files(shared.request)
        self._send_begin(shared)

    def trust(self, shared: SharedCheck) -> None:
        """Note that a server without a verdict has traffic: its first failure must not take it out."""
        if not shared.state.verdict.trusted:
            shared.state.verdict = Verdict(None, shared.state.verdict.against, True)
            self._send(0, "trust", shared.number)

    def end(self, shared: SharedCheck) -> None:
        """Stop a check."""
        del self.checks[shared.number]
        self._send(0, "end", shared.number)

    async def details(self) -> None:
        """Have the checker report durations and next instants of checks, which are no news. May wait for ever."""
        if self._process is None or not self._process.ready:
            return
        self._token += 1
        self._said.grant(len(self.checks) // DETAILS_IN_A_LINE + 1)
        token = self._token
        answer = self._details[token] = self._loop.create_future()
        try:
            self._send(0, "details", token)
            await answer
        finally:
            del self._details[token]

    def file_changed(self, key: tuple[str, ...]) -> None:
        """Tell the checker the contents of a file, new or changed, if one of its checks needs it."""
        if key in self._known_files:
            self._send_file(key)

    def _send(self, number: int, *message: object) -> None:
        if self._process is not None:
            self._told = max(self._told, number)
            self._said.grant(1)  # an answer, or the last word on a check that ends
            self._process.send(encode(*message))

    def _send_begin(self, shared: SharedCheck) -> None:
        verdict = shared.state.verdict
        shared.hurry()
        document = request_document(shared.request)
        self._send(shared.number, "begin", shared.number, document, verdict.up, verdict.against, verdict.trusted)

    def _send_files(self, request: CheckRequest) -> None:
        for key in file_keys(request.settings):
            if key not in self._known_files:
                self._known_files.add(key)
                self._send_file(key)

    def _send_file(self, key: tuple[str, ...]) -> None:
        found = self._files.found(key)
        if found is not None:
            self._send(0, "files", key, found.contents, found.error)

    def _start(self) -> None:
        self._start_timer = None
        try:
            self._process = CheckerProcess(self._user, self._new_mark(), self._request_of, self._line, self._ended)
        except OSError as error:
            self._log.error(f"{self._name} cannot be started: {error.strerror}")
            self._start_later()
            if self._died_in_a_row > STARTS_TRIED:
                self._refuse_all(f"the checker cannot be started: {error.strerror}")
            return
        self._started_at = self._loop.time()
        self._dead.clear()
        self._told = 0
        self._said = allowance_of_process()
        self._known_files.clear()
        for number, test in self._tests.items():
            self._send_files(test.request)
            self._send(number, "test", number, request_document(test.request))
        for shared in self.checks.values():
            self._send_files(shared.request)
            self._send_begin(shared)

    def _start_later(self) -> None:
        if not self._stopping and self._start_timer is None:
            delay = BACK_OFF_S[min(self._died_in_a_row, len(BACK_OFF_S) - 1)]
            self._died_in_a_row += 1
            self._start_timer = self._loop.call_later(delay, self._start)

    def _request_of(self, number: int) -> CheckRequest | None:
        shared = self._check(number)
        if shared is None:
            return None
        self._suspect = shared
        shared.sockets.spend("a question for a socket")
        self._suspect = None
        return shared.request

    def _check(self, number: int) -> SharedCheck | None:
        """Return a check of this checker, None when it has ended. Raises Malformed for a number that was never given."""
        shared = self.checks.get(number)
        if shared is None:
            if number > self._told:
                raise Malformed("a check number that it was not given")
            self._said.spend("the number of a check that has ended")
        return shared

    def _line(self, line: bytes) -> None:
        if not line:
            self._said.spend("heartbeats")
            return
        word, fields = decode(line)
        if word == "result" and fields:
            shared = self._check(identifier(fields[0]))
            update = read_result(fields[1:])
            if shared is not None:
                self._suspect = shared
                shared.results.spend("results of one check")
                self._suspect = None
                state = shared.state
                state.verdict, state.result, state.next_at = update
                self._tell(shared)
        elif word == "details":
            self._take_details(fields)
        elif word == "made" and len(fields) == 1:
            self._answer(identifier(fields[0]), None)
        elif word == "refused" and fields:
            self._answer(identifier(fields[0]), read_refused(fields[1:]))
        elif word == "fault" and len(fields) == 1:
            self._take_fault(text(fields[0]))
        else:
            raise Malformed("an unknown message")

    def _take_fault(self, what: str) -> None:
        self._said.spend("faults")
        self._fault = what
        if self._faults.take():
            self._log.error(f"{self._name}: {what}")

    def _take_details(self, fields: list[Any]) -> None:
        self._said.spend("details")
        token, rows, last = read_details(fields)
        for number, seconds, next_at in rows:
            shared = self._check(number)
            if shared is not None and shared.state.result is not None:
                shared.state.result = shared.state.result._replace(seconds=seconds)
                shared.state.next_at = next_at
        answer = self._details.get(token)
        if last and answer is not None and not answer.done():
            answer.set_result(None)

    def _answer(self, number: int, refused: Refused | None) -> None:
        self._said.spend("answers")
        test = self._tests.get(number)
        if test is None:
            self._check(number)
        elif not test.answer.done():
            test.answer.set_result(refused)

    def _ended(self, ended: Ended) -> None:
        """Handle the death of the checker."""
        process, self._process = self._process, None
        assert process is not None
        if process.ready:
            self._lost_at = self._loop.time()
        for answer in self._details.values():
            if not answer.done():
                answer.set_result(None)
        self._end_commands(process.mark)
        if self._stopping:
            return
        if self._loop.time() - self._started_at >= STEADY_S:
            self._died_in_a_row = 0
        self.replaced += 1
        self._count()
        self._log.warning(f"replacing {self._name} (process {process.pid}): {one_line(ended.why)}")
        self._start_later()
        if not process.ready and self._died_in_a_row > STARTS_TRIED:
            self._refuse_all(f"the checker cannot start: {self._fault or ended.why}")
        if ended.burned:
            reason = f"the check used more than {BUSY_S:g} s of processor time without a pause"
        else:
            reason = f"the checker was lost during this check: {one_line(ended.why)}"
        self._fail(ended.running, reason)
        suspect, self._suspect = self._suspect, None
        if suspect is not None and suspect.number != ended.running:
            self._blame(suspect)

    def _end_commands(self, mark: str) -> None:
        """Kill what a dead checker has left; in a thread, because it reads all of /proc."""
        uids = {self._user.uid}
        try:
            self._loop.run_in_executor(None, kill_orphans, mark, uids).add_done_callback(lambda _: self._dead.set())
        except RuntimeError:  # no thread is available
            kill_orphans(mark, uids)
            self._dead.set()

    def _refuse_all(self, reason: str) -> None:
        for test in self._tests.values():
            if not test.answer.done():
                test.answer.set_result(Refused(0, one_line(reason)))

    def _fail(self, number: int, reason: str) -> None:
        """Count the check that ran when the checker was lost as failed once."""
        test = self._tests.get(number)
        if test is not None:
            test.killed += 1
            if test.killed >= TESTS_KILLED and not test.answer.done():
                test.answer.set_result(Refused(0, reason))
        shared = self.checks.get(number)
        if shared is not None:
            shared.state.take(Result(False, reason, 0.0))
            self._log.warning(f"{shared.state.name}: {reason}")
            self._tell(shared)
            self._blame(shared)
