"""Builds what a node boots from: a user-mode Linux kernel, a Debian root, an ext4 image with the suite's .deb installed.

Everything is cached in build/lab (or $LAB_CACHE) under names that hold a hash of what went in, so that a new .deb costs
seconds and a new list of packages a minute.
"""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import sandbox
from .base import LAB, REPOSITORY, LabError, host

CACHE = Path(os.environ.get("LAB_CACHE") or REPOSITORY / "build/lab").resolve()
NODE_FILES = Path(__file__).parent / "node"
OPT = "opt/lab"
IMAGE_SIZE = "3G"
SUITE = "trixie"
KEPT_DISKS = 3
KEPT_ROOTS = 3
"""One with everything and one with the least, which the tests of FRR use, too; half a gigabyte each."""

KERNELS = {
    "sid": "",
    "trixie": "Debian 13's kernel: expect a lab that is somewhat slower",
    "bookworm": "Debian 12's kernel has no seccomp mode: a process costs 5 to 8 times as much, tests may run into their limits",
}
"""Where a kernel may come from, best first, with what the others cost.

A fork and exec is 10 ms with sid's, 70-100 ms with Debian 12's.
"""

MINIMAL = (
    "iproute2", "iputils-ping", "kmod", "procps", "python3", "resource-agents", "frr", "frr-pythontools", "ipvsadm",
    "libxml2-utils",
)
"""Beyond the package's own dependencies, what ocf-tester, a look at the kernel and the tests of FRR need."""

FULL = (
    *MINIMAL, "pacemaker", "pacemaker-cli-utils", "corosync", "crmsh", "pcs", "ldirectord", "keepalived", "socat",
    "tcpdump", "nginx-light", "bind9",
)
"""A load balancer as an operator would set it up; nginx and named are for the real servers, which run from the same root."""


@dataclass(frozen=True)
class Images:
    """What a node is started from."""

    root: Path
    kernel: Path
    seccomp: bool
    disk: Path
    kernel_version: str


def say(text: str) -> None:
    """One line of progress: building takes a minute the first time."""
    print(f"lab: {text}", flush=True)


def find_deb() -> Path | None:
    """The newest package of the suite in build/packages, or None."""
    found = sorted((REPOSITORY / "build/packages").glob("ocf-anycast_*.deb"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def prepare(deb: Path | None, packages: Sequence[str] = FULL) -> Images:
    """Build or find everything; one builder at a time. Raises LabError with the builder's last words."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with _lock(CACHE / "lock"):
        root = _base_root(_wanted(deb, packages))
        kernel, seccomp = _kernel(root)
        version = next((kernel / "modules").iterdir()).name
        return Images(root, kernel / "linux.uml", seccomp, _disk(root, kernel, deb), version)


def debian_root(deb: Path | None, packages: Sequence[str] = MINIMAL) -> Path:
    """The root of such nodes, built or found; for programs of that release on this kernel."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with _lock(CACHE / "lock"):
        return _base_root(_wanted(deb, packages))


def _wanted(deb: Path | None, packages: Sequence[str]) -> list[str]:
    return sorted({*packages, *(dependencies(deb) if deb else ())})


def dependencies(deb: Path) -> list[str]:
    """Names in the Depends field of a package, the first of each choice."""
    field = host("dpkg-deb", "--field", deb, "Depends").out
    choices = (choice.split("|")[0].split("(")[0].split(":")[0].strip() for choice in field.split(","))
    return [name for name in choices if name]


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


_held: list[int] = []


def _in_use(path: Path, pattern: str, kept: int) -> Path:
    """The path, held as long as this process lives; what `pattern` finds besides is pruned.

    The newest `kept` stay, and every one that a lab uses, anywhere: its process holds the same lock.
    """
    # When it was used last is its access time: a node does not boot from a disk whose modification time is another one.
    os.utime(path, (time.time(), path.stat().st_mtime))
    _held.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    fcntl.flock(_held[-1], fcntl.LOCK_SH)
    for old in sorted(CACHE.glob(pattern), key=lambda found: found.stat().st_atime)[:-kept]:
        descriptor = os.open(old, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(old)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
    return path


@contextlib.contextmanager
def _built(target: Path) -> Iterator[Path]:
    """A scratch path that becomes `target` only when everything worked."""
    scratch = target.with_name(target.name + ".new")
    _remove(scratch)
    try:
        yield scratch
        scratch.rename(target)
    finally:
        _remove(scratch)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _debootstrap(*words: str) -> None:
    # The Release file of sid may be past its date on a mirror that lags.
    host("mmdebstrap", "--quiet", '--aptopt=Acquire::Check-Valid-Until "false"', *words, timeout=1800)


def _base_root(packages: Sequence[str]) -> Path:
    target = CACHE / f"root-{SUITE}-{_digest(packages)}"
    if not target.exists():
        say(f"building a Debian {SUITE} root with {len(packages)} packages and what they need (a minute)")
        with _built(target) as scratch:
            _debootstrap(
                "--variant=minbase", "--format=directory", f"--include={','.join(packages)}",
                "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", SUITE, str(scratch),
            )
            (scratch / LAB.lstrip("/")).mkdir()
            (scratch / OPT).mkdir(parents=True)
            _install_node_files(scratch)
    return _in_use(target, "root-*", KEPT_ROOTS)


def _install_node_files(root: Path) -> None:
    for file in NODE_FILES.iterdir():
        if file.is_file():
            shutil.copy(file, root / OPT / file.name)
            (root / OPT / file.name).chmod(0o755)


def _kernel(root: Path) -> tuple[Path, bool]:
    for suite, cost in KERNELS.items():
        target = CACHE / f"kernel-{suite}"
        try:
            if not target.exists():
                say(f"fetching the user-mode Linux kernel of Debian {suite}")
                _fetch_kernel(suite, target, root)
        except LabError as error:
            say(f"no usable kernel from Debian {suite}: {error}")
            continue
        _install_modules(target, root)
        if cost:
            say(cost)
        return target, (target / "seccomp").exists()
    raise LabError("no user-mode Linux kernel could be had: the lab needs Debian's package user-mode-linux")


def _fetch_kernel(suite: str, target: Path, root: Path) -> None:
    with _built(target) as scratch:
        unpacked = scratch / "unpacked"
        scratch.mkdir()
        _debootstrap("--variant=extract", "--include=user-mode-linux", suite, str(unpacked))
        (unpacked / "usr/bin/linux.uml").rename(scratch / "linux.uml")
        (unpacked / "usr/lib/uml/modules").rename(scratch / "modules")
        shutil.rmtree(unpacked)
        _install_modules(scratch, root)
        try:
            _boot(scratch, root, "seccomp=on")
            (scratch / "seccomp").touch()
        except LabError as error:
            say(f"Debian {suite}'s kernel does not run with seccomp=on, trying the slower way: {error}")
            _boot(scratch, root)


def _install_modules(kernel: Path, root: Path) -> None:
    for modules in (kernel / "modules").iterdir():
        target = root / "usr/lib/modules" / modules.name
        if not target.exists():
            with _built(target) as scratch:
                target.parent.mkdir(exist_ok=True)
                shutil.copytree(modules, scratch, symlinks=True)
            host("chroot", root, "depmod", modules.name)


def _boot(kernel: Path, root: Path, *options: str) -> None:
    """Raise LabError unless this kernel comes up on this machine and has IPVS."""
    command = [
        f"{LAB}/kernel/linux.uml", "mem=256M", *options, "rootfstype=hostfs", "root=/dev/root", "rootflags=/", "ro",
        f"init=/{OPT}/check", "con=null", "con0=null,fd:1",
    ]
    argv = sandbox.argv(root, command, {"kernel": kernel}, tmp_mib=512)
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
        )
    except subprocess.TimeoutExpired as hung:
        raise LabError(f"it hangs: {(hung.stdout or b'')[-300:]!r}") from hung
    if b"LAB-KERNEL-HAS-IPVS" not in done.stdout:
        raise LabError(f"it does not boot, or has no IPVS: {done.stdout[-300:]!r}")


def _disk(root: Path, kernel: Path, deb: Path | None) -> Path:
    node_files = [(file.name, file.read_bytes()) for file in sorted(NODE_FILES.iterdir()) if file.is_file()]
    version = [modules.name for modules in (kernel / "modules").iterdir()]
    key = _digest(root.name, version, node_files, deb and hashlib.sha256(deb.read_bytes()).hexdigest())
    target = CACHE / f"disk-{key}.ext4"
    if not target.exists():
        say(f"making the nodes' disk with {deb.name if deb else 'no package of the suite'}")
        tree = CACHE / "tree.new"
        _remove(tree)
        try:
            host("cp", "-a", "--reflink=auto", root, tree, timeout=600)
            _install_node_files(tree)
            if deb:
                install = ["dpkg", "--install", f"{LAB}/packages/{deb.name}"]
                host(*sandbox.argv(tree, install, {"packages": deb.parent}, writable=True), timeout=300)
            with _built(target) as scratch:
                host("mke2fs", "-q", "-t", "ext4", "-d", tree, scratch, IMAGE_SIZE, timeout=600)
        finally:
            _remove(tree)
    return _in_use(target, "disk-*.ext4", KEPT_DISKS)
