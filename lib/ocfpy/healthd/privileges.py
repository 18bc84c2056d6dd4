"""What a checker gives up before it reads a byte from a server: root, its capabilities, and unlimited memory."""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import signal
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ocfpy.ocf.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable

OWN_USER = "ocf-anycast"
"""The user of the checkers where the node has it, else nobody."""
PASSWD = "/etc/passwd"
MEMORY = 1 << 30
"""Bytes of address space of a checker. With 800 checks of 200 pools over h11, dnspython and ssl it maps 33 MiB, measured; the
rest is for large answers, of a MiB, of some hundred servers at the same time. A checker that needs more ends with MemoryError
instead of making the node swap."""
DESCRIPTORS = 16384
"""Enough for check_loop.MAX_IN_FLIGHT checks."""

# linux/prctl.h
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_CAPBSET_READ = 23
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAPABILITY_VERSION_3 = 0x20080522
"""linux/capability.h."""


KEPT = {
    "CAP_DAC_OVERRIDE": (1, "files and sockets of other users: secrets, bgpd's socket, directories of drained servers"),
    "CAP_KILL": (5, "checkers and commands of other users"),
    "CAP_SETGID": (6, "checkers and commands become another user"),
    "CAP_SETUID": (7, "checkers and commands become another user"),
    "CAP_NET_ADMIN": (12, "the IPVS table; the mark of checks by way of the virtual service"),
    "CAP_NET_RAW": (13, "ICMP sockets of ping and udp checks"),
    "CAP_AUDIT_WRITE": (29, "commands of root that become another user through PAM, as su does"),
    "CAP_SYS_PTRACE": (19, "/proc of other users' processes: which commands are ours, which network namespace a caller has"),
}
"""What the keeper keeps of root's capabilities (linux/capability.h), and what for. Its child processes can have no others."""
LAST_CAPABILITY = "/proc/sys/kernel/cap_last_cap"


class User(NamedTuple):
    """The user that a checker runs as. Without `change` it stays the keeper's user."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    change: bool = True


@lru_cache
def find_user(name: str = "") -> User:
    """Return the user called `name`, by default the unprivileged one. Raises HostError.

    A keeper that is not root can only use its own user. The name service, which may hang, is asked only for a name that is not in
    /etc/passwd.
    """
    if os.geteuid():
        me = _entry(os.geteuid())
        if name not in ("", me):
            raise HostError(f"check_command_user={name}: the health daemon runs as {me} and cannot become another user")
        return User(me, os.geteuid(), os.getegid(), change=False)
    for one in [name] if name else [OWN_USER, "nobody"]:
        ids = _ids_in_passwd(one)
        if ids is None and name:
            try:
                entry = pwd.getpwnam(one)
            except KeyError:
                continue
            ids = entry.pw_uid, entry.pw_gid
        if ids is not None:
            # A configured user has the groups that its permissions depend on.
            return User(one, *ids, tuple(os.getgrouplist(one, ids[1])) if name else ())
    raise HostError(f"check_command_user={name}: this node has no such user" if name else "this node has no user nobody")


def _ids_in_passwd(name: str) -> tuple[int, int] | None:
    """User and group of a local user: passwd(5)."""
    with open(PASSWD, encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split(":")
            if fields[0] == name and len(fields) > 3 and fields[2].isdigit() and fields[3].isdigit():
                return int(fields[2]), int(fields[3])
    return None


def _entry(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def set_limits() -> None:
    """Limit memory, descriptors and core dumps. The limit of memory is a soft one: commands of checks get the hard one."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard), hard))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def become(user: User, readable: Callable[[], bool], load_all: Callable[[], None]) -> None:
    """Become `user`, for good and without capabilities. Raises OSError.

    `readable` returns, as that user, whether modules can be imported later; if not, `load_all` imports them before.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if user.change:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.seteuid(user.uid)
        try:
            can_read = readable()
        finally:
            os.seteuid(0)
        if not can_read:
            load_all()
        os.setresuid(user.uid, user.uid, user.uid)
    _prctl(libc, PR_SET_NO_NEW_PRIVS, 1)
    if user.uid:
        _prctl(libc, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
        _set_capabilities(libc, 0)
    # Commands of checks run as the same user, and must not read secrets out of this process.
    _prctl(libc, PR_SET_DUMPABLE, 0)
    # A process that a command leaves in its own session becomes a child of this process, which kills it.
    _prctl(libc, PR_SET_CHILD_SUBREAPER, 1)
    _prctl(libc, PR_SET_PDEATHSIG, signal.SIGKILL)


def limit_keeper() -> None:
    """Give up all capabilities but KEPT, for this process and its children, for good. Raises OSError.

    To be called before there is another thread. A process that is not root keeps what it has.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    kept = {number for number, _ in KEPT.values()}
    if os.geteuid() == 0:
        with open(LAST_CAPABILITY, encoding="ascii") as file:
            last = int(file.read())
        # The bounding set decides what a program that root starts has.
        for number in sorted({*range(last + 1)} - kept):
            if libc.prctl(PR_CAPBSET_READ, ctypes.c_ulong(number)) == 1:
                _drop_from_bounding_set(libc, number)
        _prctl(libc, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
        _set_capabilities(libc, sum(1 << number for number in kept))
    _prctl(libc, PR_SET_NO_NEW_PRIVS, 1)


def _drop_from_bounding_set(libc: ctypes.CDLL, number: int) -> None:
    """Where the daemon lacks CAP_SETPCAP, for example in a container, what is set after this limits it none the less."""
    try:
        _prctl(libc, PR_CAPBSET_DROP, number)
    except PermissionError:
        pass


def _set_capabilities(libc: ctypes.CDLL, wanted: int) -> None:
    """Keep those of the capabilities that this process has, as permitted and effective; programs inherit none (capset(2))."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable of the numbers 0 to 31; then those from 32 on
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget failed")
    for half in (0, 1):
        permitted = sets[3 * half + 1] & (wanted >> (32 * half)) & 0xFFFFFFFF
        sets[3 * half : 3 * half + 3] = [permitted, permitted, 0]
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset failed")


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> None:
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")
