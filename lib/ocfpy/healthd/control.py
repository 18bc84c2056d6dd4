"""What start, stop and reload-agent do with a pool's health daemon, and in its place when it is gone."""

from __future__ import annotations

import fcntl
import os
import select

from ocfpy import __version__
from ocfpy.checks.registry import kind_of
from ocfpy.healthd.client import RUNNING, DaemonHangs, NoDaemon, Paths, ask
from ocfpy.healthd.orphans import MARK, SIGKILL, kill_orphans
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ipvs.plan import plan
from ocfpy.ipvs.proc import read_proc
from ocfpy.ocf import thirdparty
from ocfpy.ocf.errors import HostError, NotInstalledError, OcfError, ServiceError
from ocfpy.pool.spec import virtual_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.context import Log
    from ocfpy.ocf.deadline import Deadline
    from ocfpy.ocf.state import StateFile
    from ocfpy.pool.spec import PoolSpec, ServiceSpec

LIBRARY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEALTHD = f"{LIBRARY}/healthd"
ATTRIBUTE_S = 2.0
"""How long a stop waits for the cluster to take the attribute back; a stop that fails for that would fence the node."""


def require_module(check: str) -> None:
    """Raises NotInstalledError when the module that such a check needs is not installed."""
    needs = kind_of(check).needs
    if needs is None:
        return
    from importlib.util import find_spec

    thirdparty.enable()
    module, package = needs
    if find_spec(module) is None:
        raise NotInstalledError(f"check={check} needs the Python module {module}: install package {package}")


def require_files(services: Iterable[ServiceSpec], deadline: Deadline) -> None:
    """Raises HostError when this host has not a file that a check takes, or it cannot be used.

    The daemon reads them only when it checks, in threads: they may be on a file server that is gone.
    """
    from ocfpy.checks.secretfile import read_secret, secret_files

    checks = {check for service in services for check in (service.check, *service.checks.values())}
    for path in sorted({path for check in checks for path in secret_files(check).values()}):
        deadline.step = f"the secret in {path}"
        read_secret(path)
    for check in checks:
        files = check.tls_files()
        if files:
            from ocfpy.checks.tls import context_for

            deadline.step = " and ".join(files)
            context_for(check)


def require_reply_path(services: Iterable[ServiceSpec]) -> None:
    """Raises HostError when this host, once it has the addresses, would not hear the answers to checks by way of them."""
    from ocfpy.healthd.vip_probe import vip_checked
    from ocfpy.net.source import missing_local_reply_sysctls

    settings: dict[str, None] = {}
    for real in {real.address: real for _, real in vip_checked(services) if real.forward != "nat"}.values():
        try:
            settings.update(dict.fromkeys(missing_local_reply_sysctls(real.address)))
        except OSError:
            pass  # no way there: that is for the checks to say
    if settings:
        raise HostError(
            "check_via=vip: real servers answer from the virtual service's address, and the node that has it takes that"
            f" for forged: set {' and '.join(settings)}"
        )


def spawn(paths: Paths, spec: PoolSpec, deadline: Deadline) -> None:
    """Starts a daemon in place of any other, and returns when every real server has its first verdict.

    Raises OcfError with what the daemon says, DeadlineError.
    """
    os.makedirs(os.path.dirname(paths.lock), mode=0o700, exist_ok=True)
    lock = _take_over(paths, deadline)
    ready, report = os.pipe()
    try:
        # What a daemon that is gone has put in place, and would have removed.
        former = tuple(map(parse_virtual, virtual_in(paths.spec)))
        spec.replace(former=former).write(paths.spec)
        os.set_inheritable(lock, True)
        os.set_inheritable(report, True)
        # Pacemaker kills an action's whole process group, and reads its output to the end: the daemon has its
        # own session and no part in either.
        pid = os.posix_spawn(
            HEALTHD,
            [HEALTHD, paths.spec, str(lock), str(report)],
            {name: value for name, value in os.environ.items() if not name.startswith(("OCF_RESKEY_", MARK))},
            file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)],
            setsid=True,
        )
        os.pwrite(lock, b"%d\n" % pid, 0)
        os.close(report)
        report = -1
        _await_report(ready, _patience("the first verdict on every real server", spec, deadline), deadline)
    finally:
        for fd in (lock, ready, report):
            if fd >= 0:
                os.close(fd)


def _patience(what: str, spec: PoolSpec, deadline: Deadline) -> str:
    """What is waited for, and what to do about it where the checks may well take longer than the operation."""
    longest_s = spec.first_verdict_s
    if longest_s <= deadline.seconds:
        return what
    return f"{what}, which takes up to {longest_s:g} s with this check_timeout and fall: raise the operation's timeout"


def _await_report(ready: int, what: str, deadline: Deadline) -> None:
    text = b""
    poller = select.poll()
    poller.register(ready, select.POLLIN)
    while not text.endswith(b"\n"):
        deadline.check(what)
        if poller.poll(deadline.remaining() * 1000):
            more = os.read(ready, 4096)
            if not more:
                raise ServiceError("the health daemon died while it started; the system log may say why")
            text += more
    answer = text.decode().strip()
    if answer != "ok":
        code, _, reason = answer.partition(" ")
        error = OcfError(reason)
        error.code = int(code)
        raise error


def reload(
    state: StateFile,
    claim: dict[str, str],
    paths: Paths,
    spec: PoolSpec,
    check_host: Callable[[], None],
    deadline: Deadline,
) -> None:
    """Has the running daemon go over to `spec`; returns when it is in force. Raises OcfError.

    A daemon of another version (the package was upgraded while it ran) is replaced: the new one adopts the table.
    """
    before = virtual_in(paths.spec)
    try:
        check_host()
    except OcfError:
        # The record says already what will not be: a stop would take away what may be another pool's.
        _record(state, claim, before or claim["virtual"].split())
        raise
    # Until the daemon has removed what is no longer wanted, a stop has to know of it.
    _record(state, claim, dict.fromkeys([*claim["virtual"].split(), *before]))
    try:
        if ask(paths.socket, "version", deadline.remaining()) == __version__:
            spec.write(paths.spec)
            word, _, reason = ask(paths.socket, "reload", deadline.remaining()).partition(" ")
            if word != RUNNING:
                raise ServiceError(reason)
        else:
            spawn(paths, spec, deadline)
    except NoDaemon:
        raise ServiceError("the health daemon is gone") from None
    except DaemonHangs:
        raise deadline.error(_patience("the health daemon to go over to the new configuration", spec, deadline)) from None
    _record(state, claim, claim["virtual"].split())


def require_unclaimed(others: Iterable[tuple[str, dict[str, str]]], claim: dict[str, str]) -> None:
    """Raises HostError when one of the other pools, by name and record, has the claim's attribute or a service of it."""
    wanted = set(claim["virtual"].split())
    for resource, record in others:
        if record.get("attribute") == claim["attribute"]:
            raise HostError(
                f"resource {resource} already has the node attribute {claim['attribute']}: it would say the one pool is alive"
                " when the other is, so each pool needs its own"
            )
        shared = sorted(wanted & set(record.get("virtual", "").split()))
        if shared:
            raise HostError(f"resource {resource} already has {shared[0]}: a virtual service belongs to one pool")


def _record(state: StateFile, claim: dict[str, str], virtual: Iterable[str]) -> None:
    state.update({**claim, "virtual": " ".join(virtual)})


def kill(paths: Paths, deadline: Deadline) -> None:
    """Makes sure that there is no daemon, and leaves the kernel as it is."""
    if os.path.exists(paths.lock):
        os.close(_take_over(paths, deadline))


def clean_up(virtual: Iterable[VirtualService], attribute: str, deadline: Deadline, log: Log) -> None:
    """Removes what a daemon that is gone has put in place; the log says when the attribute stays. Raises OcfError."""
    if attribute:
        from ocfpy.ocf.attributes import delete_attribute

        delete_attribute(attribute, min(ATTRIBUTE_S, deadline.remaining() / 2), log)
    deadline.step = "the virtual services to be out of the kernel"
    ours = set(virtual)
    try:
        left = read_proc(only=lambda service: service.proto is None or service in ours)
    except FileNotFoundError:
        return
    if left:
        from ocfpy.ipvs.table import IpvsTable

        with IpvsTable() as table:
            table.apply(plan(table.read(), {}, ours))


def close_paths(paths: Paths) -> None:
    """Removes what a daemon that is gone has put in place for its checks. Raises OcfError."""
    from ocfpy.healthd.fwmarks import FwmarkAllocator

    marks = FwmarkAllocator(paths.base)
    if marks.held():
        from ocfpy.healthd.vip_probe import remove_paths

        remove_paths(marks)


def remove_files(paths: Paths, deadline: Deadline) -> None:
    """Removes the files of a daemon, once it has ended."""
    if not os.path.isdir(os.path.dirname(paths.lock)):
        return
    lock = _take_lock(paths, deadline)
    for path in (paths.spec, paths.socket, paths.status, paths.lock):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
    os.close(lock)


def _take_over(paths: Paths, deadline: Deadline) -> int:
    """As _take_lock; what a daemon has left running, other than by a stop, is killed with it."""
    was_there = os.path.exists(paths.lock)
    lock = _take_lock(paths, deadline)
    if was_there:
        kill_orphans(paths.base)
    return lock


def _take_lock(paths: Paths, deadline: Deadline) -> int:
    """The lock that says a daemon lives, taken; whoever holds it is killed. Returns its file descriptor."""
    fd = os.open(paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline.poll(lambda: _try_lock(fd), f"the health daemon to end, which holds {paths.lock}")
        os.ftruncate(fd, 0)  # its number must never be there without it
    except BaseException:
        os.close(fd)
        raise
    return fd


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        holder = _holder(fd)
        if holder is not None:
            try:
                os.kill(holder, SIGKILL)
            except ProcessLookupError:
                pass
        return False


def _holder(fd: int) -> int | None:
    """The process that holds the lock; None in the moment before its number is written there.

    And None when that is the number of one that is gone, and may be another's by now: while a monitor looks whether the lock
    is held (client.is_alive), or a child of the daemon's has not got to its own program.
    """
    number = os.pread(fd, 32, 0).decode(errors="replace").strip()
    return int(number) if number.isdigit() and _has_open(number, os.readlink(f"/proc/self/fd/{fd}")) else None


def _has_open(number: str, path: str) -> bool:
    """Whether a process has the file open; never waits for a file server, as a look at the files themselves might."""
    try:
        names = os.listdir(f"/proc/{number}/fd")
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"/proc/{number}/fd/{name}") == path:
                return True
        except OSError:
            pass  # closed meanwhile
    return False
