"""The health daemon of a node: `healthd DIRECTORY [LOCK_FD READY_FD]`, for all pools of a run directory.

The action that starts it has already taken the lock and passes it as LOCK_FD, so that the lock is held at every moment of the
daemon's life. On READY_FD it learns the outcome of the start: "ok", or an exit code and a sentence. The daemon adopts the pools
whose files are in the directory. A signal ends it and leaves kernel and cluster unchanged: the next daemon adopts them.

Requests, one line each, and their answers, one line each (first words: client.py):
    version VERSION         running, foreign NAMESPACE, or version ITS-OWN if the versions differ
    monitor KEY VERSION     the state of the pool, for a monitor
    add KEY, reload KEY     running, or failed CODE REASON; KEY.wanted holds the new specification
    remove KEY              stopped, or failed REASON
    gate ...                about the announcements that pools gate, see gate.py
    look                    running; reads the directories of drained servers now
    status                  a JSON document
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
import traceback
from typing import TYPE_CHECKING, Any, Callable

from ocfpy import __version__
from ocfpy.checks.command_mark import MARK
from ocfpy.checks.files import look
from ocfpy.healthd.attrd import Attrd
from ocfpy.healthd.checkers import RemoteChecks
from ocfpy.healthd.cleanup import unlink
from ocfpy.healthd.client import (
    FAILED,
    FOREIGN,
    OTHER_VERSION,
    POOL_PREFIX,
    RUNNING,
    STOPPED,
    UNKNOWN,
    Node,
)
from ocfpy.healthd.confirmation import confirm
from ocfpy.healthd.daemon_start import close_inherited, hold_lock, raise_file_limit, reporter
from ocfpy.healthd.engine import Engine
from ocfpy.healthd.fwmarks import FwmarkAllocator
from ocfpy.healthd.gate import Gate
from ocfpy.healthd.ipvs_worker import IpvsWorker, SharedTable
from ocfpy.healthd.legacy import end_old_daemon
from ocfpy.healthd.pool_checks import PoolChecks
from ocfpy.healthd.pool_report import PoolLog, PoolReport
from ocfpy.healthd.pool_task import PoolTask
from ocfpy.healthd.privileges import limit_keeper
from ocfpy.healthd.publisher import NodePublisher
from ocfpy.healthd.queue_log import QueueLog
from ocfpy.healthd.restore import restore_desired
from ocfpy.healthd.status import is_short, no_backend_reason
from ocfpy.healthd.sysctl_advice import advice
from ocfpy.healthd.vip_probe import VipPaths
from ocfpy.ocf.codes import OCF_ERR_GENERIC
from ocfpy.ocf.errors import OcfError, ServiceError, one_line
from ocfpy.ocf.log import Log
from ocfpy.ocf.state import names_in

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ocfpy.pool.spec import PoolSpec

REQUEST_TIMEOUT_S = 2.0
LENGTHY = ("add ", "reload ")
"""Requests that are answered when there are verdicts: the client may have been killed by then."""
MAX_REQUEST = 1 << 16
LOCK_LOOK_S = 1.0
LAST_ROUTES_S = 3.0
"""How long a daemon without pools waits for withdrawals under way."""
LAST_CHECKERS_S = 2.0
"""How long the daemon waits for its checkers to end."""
LAST_WORDS_S = 1.0
"""How long a daemon that fails waits for its log."""
IDLE_S = 10.0
"""A daemon without a pool ends after this time: the action that started it has been killed."""
IDLE_LOOK_S = 1.0
BACKLOG = 1024
"""Backlog of the socket: the monitors of hundreds of pools may connect at the same moment."""


def main(argv: list[str] | None = None) -> int:
    """Run until the last pool is removed; return only when the daemon cannot start."""
    argv = sys.argv if argv is None else argv
    if len(argv) not in (2, 4):
        print("usage: healthd DIRECTORY [LOCK_FD READY_FD]", file=sys.stderr)
        return 2
    node = Node(os.path.abspath(argv[1]))
    lock_fd, ready_fd = (int(argv[2]), int(argv[3])) if len(argv) == 4 else (None, None)
    close_inherited({0, 1, 2, lock_fd, ready_fd})
    report = reporter(ready_fd)
    log = QueueLog("healthd", os.path.basename(node.directory), os.environ)
    try:
        os.umask(0o077)
        limit_keeper()
        hold_lock(node.lock, lock_fd)
        raise_file_limit()
        os.environ[MARK] = node.directory  # fallback commands inherit it
        asyncio.run(Daemon(node, log).run(report))
    except BlockingIOError:
        report(f"{OCF_ERR_GENERIC} another health daemon already runs for {node.directory}")
    except OcfError as error:
        log.error(f"the health daemon ends: {error.reason}")
        report(f"{error.code} {error.reason}")
    except BaseException as error:
        log.error(f"the health daemon ends: {traceback.format_exc()}")
        report(f"{OCF_ERR_GENERIC} {type(error).__name__}: {error}")
    log.flush(LAST_WORDS_S)
    # A thread may wait for a program that hangs; the interpreter would wait for the thread.
    os._exit(1)


class Daemon:
    """The pools of a node, and the socket on which clients ask for them."""

    def __init__(self, node: Node, log: Log) -> None:
        self.node = node
        self.log = log
        self.pools: dict[str, PoolTask] = {}
        self.ended: asyncio.Future[None]
        self._lock = _identity(node.lock)
        self._namespace = _namespace("self")
        self._table = SharedTable()
        self._attributes = NodePublisher(Attrd(log))
        self._gate = Gate(node.directory, log)
        self._checks: RemoteChecks
        self._removals: dict[str, set[asyncio.Future[None]]] = {}
        """Removals under way, by the key of the pool."""
        self._is_ending = False
        self._tasks: set[asyncio.Future[Any]] = set()

    async def run(self, report: Callable[[str], None]) -> None:
        """Listen, adopt the pools in the directory, and serve until an exception ends it."""
        loop = asyncio.get_running_loop()
        # Standard error is /dev/null: an exception in a callback would be lost.
        loop.set_exception_handler(lambda _, context: self.log.error(_described(context)))
        self.ended = loop.create_future()
        self._checks = RemoteChecks(self.log, self.node.directory)
        keys = self._keys()
        for key in keys:
            self.pools[key] = self._pool(key, adopted=True)
        adopted = list(self.pools.values())  # while the daemon listens, others are added
        server = await self._listen()
        report("ok")
        await self._checks.start()
        for pool in adopted:
            self._background(self._adopt(pool))
        self._background(confirm(self.node, self.pools))
        self._background(self._watch_lock())
        self._background(self._watch_idle())
        try:
            await self.ended
        finally:
            server.close()

    def _keys(self) -> list[str]:
        """Load the pools whose files are in the directory."""
        begin, end = len(POOL_PREFIX), -len(".spec")
        names = (name for name in names_in(self.node.directory) if name.startswith(POOL_PREFIX) and name.endswith(".spec"))
        return sorted(name[begin:end] for name in names)

    def _pool(self, key: str, adopted: bool) -> PoolTask:
        removals = frozenset(self._removals.get(key, ()))
        return PoolTask(self.node.pool(key), self._engine, PoolLog(self.log, key), adopted, removals)

    async def _adopt(self, pool: PoolTask) -> None:
        await self._end_old_daemon(pool)
        await pool.adopt()

    async def _end_old_daemon(self, pool: PoolTask) -> None:
        """End a pool's own daemon of version 0.1.0; in a thread, because it reads all of /proc."""
        await asyncio.get_running_loop().run_in_executor(None, end_old_daemon, pool.paths, pool.log)

    def _engine(self, pool: PoolTask, spec: PoolSpec) -> Engine:
        def why() -> str:
            return no_backend_reason(engine)

        def short() -> bool:
            return is_short(engine)

        engine = Engine(
            spec,
            IpvsWorker(self._table.open, self._table.read_proc, thread=self._table.thread, changed=self._table.forget),
            PoolReport(self._attributes.of(spec.attribute, spec.dampen), self._gate, why, short),
            PoolChecks(spec.resource, self._checks, pool.log, VipPaths(FwmarkAllocator(pool.paths.base))),
            pool.log,
            restore_desired(pool.paths.status),
            on_change=pool.changed,
            on_fault=pool.failed,
            hints=advice,
            look=look,
        )
        engine.on_decision = pool.mark_verdict
        return engine

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._end(error)

    def _end(self, error: BaseException) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)

    async def _watch_lock(self) -> None:
        """End a daemon whose files were removed: no action would find it, and the next start would begin a second one."""
        while _identity(self.node.lock) == self._lock:
            await asyncio.sleep(LOCK_LOOK_S)
        raise ServiceError(f"{self.node.lock} was removed: the daemon ends, and leaves the table to the next one")

    async def _watch_idle(self) -> None:
        idle = 0.0
        while idle < IDLE_S:
            await asyncio.sleep(IDLE_LOOK_S)
            idle = 0.0 if self.pools else idle + IDLE_LOOK_S
        await self._exit()

    async def _exit(self) -> None:
        """End the daemon, which has no pool. It still has the lock: so the socket is its own."""
        try:
            os.unlink(self.node.socket)
        except OSError:
            pass
        unlink(self.node.alive)
        self._is_ending = True
        await self._gate.finish(LAST_ROUTES_S)
        self._gate.close()
        try:
            await asyncio.wait_for(self._checks.stop(), LAST_CHECKERS_S)
        except asyncio.TimeoutError:
            pass  # the kernel does not let a checker die: the daemon must not keep the lock for it
        os._exit(0)

    async def _listen(self) -> asyncio.AbstractServer:
        try:
            os.unlink(self.node.socket)  # left by a killed daemon; the lock proves that there is no other
        except FileNotFoundError:
            pass
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(self.node.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Through the directory, because a socket's own path must not be longer than 107 bytes (unix(7)).
            listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(self.node.socket)}")
        finally:
            os.close(directory)
        return await asyncio.start_unix_server(self._serve, sock=listener, backlog=BACKLOG, limit=MAX_REQUEST)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = ""
        try:
            line = (await asyncio.wait_for(reader.readline(), REQUEST_TIMEOUT_S)).decode().strip()
            if self._is_ending:  # the client finds no daemon, and starts the next one
                return
            answer = await self._answer_unless_gone(line, reader, writer)
            writer.write(f"{answer}\n".encode())
            await writer.drain()
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            self.log.debug(f"a request failed: {error}")
        finally:
            writer.close()
        if not self.pools and line.startswith("remove "):
            await self._exit()

    async def _answer_unless_gone(self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Answer a request. If the client goes away, the work goes on without it. Raises ConnectionError."""
        work = asyncio.ensure_future(self._answer(line, writer))
        if not line.startswith(LENGTHY):
            return await work
        gone = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if work.done():
            return await work
        self._tasks.add(work)
        work.add_done_callback(self._done)
        raise ConnectionError(f"the client of {line!r} is gone")

    async def _answer(self, line: str, writer: asyncio.StreamWriter) -> str:
        verb, _, rest = line.partition(" ")
        foreign = self._foreign(writer)
        if foreign:
            return f"{FOREIGN} {foreign}"
        if verb == "version":
            return RUNNING if rest in ("", __version__) else f"{OTHER_VERSION} {__version__}"
        if verb == "monitor":
            key, _, version = rest.partition(" ")
            if version not in ("", __version__):
                return f"{OTHER_VERSION} {__version__}"
            return self.pools[key].verdict() if key in self.pools else UNKNOWN
        if verb == "status":
            await self._checks.details()
            return json.dumps(self._status())
        if verb == "look":
            for pool in self.pools.values():
                pool.look()
            return RUNNING
        if verb == "gate":
            return await self._gate.answer(rest)
        work = {"add": self._add, "reload": self._reload, "remove": self._remove}.get(verb)
        if work is None:
            return f"{FAILED} {OCF_ERR_GENERIC} unknown request {verb!r}"
        try:
            return await work(rest)
        except OcfError as error:
            return f"{FAILED} {error.code} {error.reason}"
        except (OSError, ValueError) as error:
            return f"{FAILED} {OCF_ERR_GENERIC} {one_line(str(error))}"
        except Exception as error:  # such as an error of a check that no code here expects
            self.log.error(f"{line} failed: {traceback.format_exc()}")
            return f"{FAILED} {OCF_ERR_GENERIC} {one_line(f'{type(error).__name__}: {error}')}"

    async def _add(self, key: str) -> str:
        pool = self.pools.get(key)
        if pool is not None:
            await pool.reload()
            return RUNNING
        pool = self.pools[key] = self._pool(key, adopted=False)
        try:
            await self._end_old_daemon(pool)
            await pool.start()
        except BaseException:
            if self.pools.get(key) is pool and not pool.is_superseded:  # else it belongs to another request by now
                del self.pools[key]
                pool.give_back()
            raise
        return RUNNING

    async def _reload(self, key: str) -> str:
        if key not in self.pools:
            raise ServiceError(f"the health daemon does not run the pool {key}")
        await self.pools[key].reload()
        return RUNNING

    async def _remove(self, key: str) -> str:
        pool = self.pools.pop(key, None)
        if pool is None:
            return UNKNOWN
        removal = asyncio.ensure_future(self._take_back(pool))
        under_way = self._removals.setdefault(key, set())
        under_way.add(removal)
        try:
            await removal
        finally:
            under_way.discard(removal)
            if not under_way and self._removals.get(key) is under_way:
                del self._removals[key]
        return STOPPED

    async def _take_back(self, pool: PoolTask) -> None:
        try:
            await pool.remove()
        finally:
            if pool.attribute:  # also of a pool that has no engine after a fault
                self._gate.forget(pool.attribute)

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "announcements": self._gate.snapshot(),
            "checkers": self._checks.status,
            "pools": {key: self.pools[key].document() for key in sorted(self.pools)},
        }

    def _foreign(self, writer: asyncio.StreamWriter) -> str:
        """Return the network namespace of the client if it differs from the daemon's; else empty."""
        peer = writer.get_extra_info("socket")
        pid, _, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        theirs = _namespace(str(pid))
        return theirs if theirs and self._namespace and theirs != self._namespace else ""


def _described(context: dict[str, Any]) -> str:
    """Log an exception that nothing caught, as the event loop reports it."""
    error = context.get("exception")
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__)) if error is not None else ""
    return f"{context['message']}: {trace}"


def _namespace(process: str) -> str:
    """The network namespace of a process; empty where it cannot be read."""
    try:
        return os.readlink(f"/proc/{process}/ns/net")
    except OSError:
        return ""


def _identity(path: str) -> tuple[int, int] | None:
    """The identity of a file; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
