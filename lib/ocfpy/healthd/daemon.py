"""The health daemon of one ipvs-pool resource: `healthd SPECFILE [LOCK_FD READY_FD]`.

The agent starts it with the lock already taken on LOCK_FD, so that there is no moment at which a daemon
exists and the lock does not say so, and learns on READY_FD how the start went: "ok", or an exit code and a
sentence. A signal ends it and leaves kernel and cluster as they are: the next daemon adopts them.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Callable

from ocfpy import __version__
from ocfpy.checks.files import look
from ocfpy.healthd import client
from ocfpy.healthd.attrd import Attrd
from ocfpy.healthd.client import Paths
from ocfpy.healthd.engine import Engine
from ocfpy.healthd.fwmarks import FwmarkAllocator
from ocfpy.healthd.ipvs_worker import IpvsWorker
from ocfpy.healthd.orphans import MARK
from ocfpy.healthd.publisher import NodePublisher
from ocfpy.healthd.restore import remembered
from ocfpy.healthd.status import status_document, verdict_line
from ocfpy.healthd.sysctl_advice import hints
from ocfpy.healthd.vip_probe import VipPaths
from ocfpy.ocf.codes import OCF_ERR_GENERIC
from ocfpy.ocf.context import Log
from ocfpy.ocf.errors import OcfError, ServiceError, one_line
from ocfpy.pool.spec import PoolSpec, read_spec

if TYPE_CHECKING:
    from ocfpy.healthd.autoreload import Autoreload

SUFFIX = ".spec"
REQUEST_TIMEOUT_S = 2.0
CONFIG_LOOK_S = 1.0
"""How often a file is looked at, at most."""
LOCK_LOOK_S = 1.0


def main(argv: list[str] | None = None) -> int:
    """Runs until `stop` is asked for; returns only when it cannot start."""
    argv = sys.argv if argv is None else argv
    if len(argv) not in (2, 4) or not argv[1].endswith(SUFFIX):
        print("usage: healthd FILE.spec [LOCK_FD READY_FD]", file=sys.stderr)
        return 2
    path = os.path.abspath(argv[1])
    paths = Paths(path[: -len(SUFFIX)])
    report = _reporter(int(argv[3]) if len(argv) == 4 else None)
    log = Log("healthd", os.path.basename(path)[: -len(SUFFIX)], os.environ)
    try:
        os.umask(0o077)
        _lock(paths.lock, int(argv[2]) if len(argv) == 4 else None)
        _raise_file_limit()
        os.environ[MARK] = paths.base
        asyncio.run(Daemon(paths, read_spec(paths.spec), log).run(report))
    except BlockingIOError:
        report(f"{OCF_ERR_GENERIC} another health daemon runs for {path}")
    except OcfError as error:
        report(f"{error.code} {error.reason}")
    except BaseException as error:
        log.error(f"the health daemon ends: {traceback.format_exc()}")
        report(f"{OCF_ERR_GENERIC} {type(error).__name__}: {error}")
    # A thread may be held up by a program that hangs; the interpreter would wait for it.
    os._exit(1)


class Daemon:
    """An engine, and the socket and the files through which others see it."""

    def __init__(self, paths: Paths, spec: PoolSpec, log: Log) -> None:
        self.paths = paths
        self.spec = spec
        self.log = log
        self.ended: asyncio.Future[None]
        self.engine: Engine
        self._status_trouble = ""
        self._lock = _identity(paths.lock)

    async def run(self, report: Callable[[str], None]) -> None:
        """Starts, reports, and serves until something ends it with an exception."""
        self.ended = asyncio.get_running_loop().create_future()
        self.engine = Engine(
            self.spec,
            IpvsWorker(),
            NodePublisher(Attrd(self.log)).of(self.spec.attribute, self.spec.dampen),
            self.log,
            on_change=self._write_status,
            on_fault=self._fault,
            desired=remembered(self.paths.status),
            hints=hints,
            ways=VipPaths(FwmarkAllocator(self.paths.base)),
            look=look,
        )
        await self._listen()
        start = asyncio.ensure_future(self.engine.start())
        await asyncio.wait({start, self.ended}, return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
            if not set(self.spec.former) <= set(self.spec.virtual):
                self._note_spec()
            self._write_status()
            report("ok")
            self._watching = asyncio.gather(self._watch_config(), self._watch_lock())
        await self.ended

    async def _watch_config(self) -> None:
        """Has a changed ldirectord.cf looked at, where one is to be looked at."""
        thread = ThreadPoolExecutor(1, "config")
        watch: Autoreload | None = None
        while True:
            spec = self.engine.spec
            if spec.config and watch is None:
                # Imported when wanted: parsing takes modules that no other pool needs.
                from ocfpy.healthd.autoreload import Autoreload

                watch = Autoreload(self.paths, self.log)
            if watch is not None:
                await asyncio.get_running_loop().run_in_executor(thread, watch.look, spec)
                if watch.trouble != self.engine.config_trouble:
                    self.engine.config_trouble = watch.trouble
                    self._write_status()
            await asyncio.sleep(max(self.engine.spec.interval, CONFIG_LOOK_S))

    async def _watch_lock(self) -> None:
        """Ends a daemon whose files somebody has removed: no stop would find it, and the next start would begin a second one."""
        while _identity(self.paths.lock) == self._lock:
            await asyncio.sleep(LOCK_LOOK_S)
        gone = ServiceError(f"somebody has removed {self.paths.lock}: the daemon ends, and leaves the table to the next one")
        self.log.error(gone.reason)
        self._fault(gone)

    def _fault(self, error: BaseException) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)

    def _note_spec(self) -> None:
        """Has the file say what is in force: those of former days are gone by now, and may soon be another pool's."""
        try:
            self.engine.spec.replace(former=()).write(self.paths.spec)
        except OSError as error:
            self.log.warning(f"{self.paths.spec} cannot be written: {error.strerror}")

    def _write_status(self) -> None:
        """A disk that is full must not end the checks: what is there is of an earlier moment then."""
        temporary = f"{self.paths.status}.new"
        trouble = ""
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(status_document(self.engine), file)
            os.replace(temporary, self.paths.status)
        except OSError as error:
            trouble = f"{self.paths.status} cannot be written: {error.strerror}"
            if trouble != self._status_trouble:
                self.log.warning(trouble)
        self._status_trouble = trouble

    async def _listen(self) -> None:
        try:
            os.unlink(self.paths.socket)  # of a daemon that was killed; the lock says that there is no other
        except FileNotFoundError:
            pass
        # A relative path, because a socket's must not be longer than 107 bytes.
        os.chdir(os.path.dirname(self.paths.socket))
        await asyncio.start_unix_server(self._serve, os.path.basename(self.paths.socket))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            command = (await asyncio.wait_for(reader.readline(), REQUEST_TIMEOUT_S)).decode().strip()
            answer = await self._answer(command)
            writer.write(f"{answer}\n".encode())
            await writer.drain()
            if answer == client.STOPPED:
                os._exit(0)
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            self.log.debug(f"a request failed: {error}")
        finally:
            writer.close()

    async def _answer(self, command: str) -> str:
        if command == "monitor":
            return verdict_line(self.engine)
        if command == "version":
            return __version__
        if command == "status":
            return json.dumps(status_document(self.engine))
        try:
            if command == "reload":
                await self.engine.reload(read_spec(self.paths.spec))
                spec, publisher = self.engine.spec, self.engine.publisher
                publisher.name, publisher.dampen = spec.attribute, spec.dampen
                self._write_status()
                return client.RUNNING
            if command == "stop":
                await self.engine.stop()
                return client.STOPPED
        except (OcfError, OSError, ValueError) as error:
            answer = f"{client.FAILED} {one_line(str(error))}"
        except Exception as error:  # such as a check's own, of a specification that nobody thought of
            self.log.error(f"{command} failed: {traceback.format_exc()}")
            answer = f"{client.FAILED} {one_line(f'{type(error).__name__}: {error}')}"
        else:
            return f"{client.FAILED} there is no command {command!r}"
        if command == "reload":
            self._note_spec()
        return answer


def _identity(path: str) -> tuple[int, int] | None:
    """What tells a file from every other; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _lock(path: str, inherited: int | None) -> None:
    """Holds the lock for as long as this process lives, and writes its number there.

    BlockingIOError: another does.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600) if inherited is None else inherited
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.set_inheritable(fd, False)
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)


def _reporter(fd: int | None) -> Callable[[str], None]:
    """Says once how the start went: to the agent, or to whoever reads standard error."""
    if fd is None:
        return lambda text: print(text, file=sys.stderr, flush=True)
    os.set_inheritable(fd, False)
    open_fds = [fd]

    def report(text: str) -> None:
        for pipe in open_fds:
            try:
                os.write(pipe, f"{one_line(text)}\n".encode())
            except OSError:
                pass  # the agent has been killed meanwhile; Pacemaker sees to the rest
            os.close(pipe)
        open_fds.clear()

    return report


def _raise_file_limit() -> None:
    """Every check in progress has a socket, and a large pool has thousands."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
