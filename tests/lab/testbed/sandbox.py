"""Runs a program of the lab's own Debian root on the host: same kernel, other network, other files.

linux.uml of Debian sid needs a newer glibc than Debian 12 has, and the real servers' programs should not have to be installed
(and started) on the host. Both run chrooted in the node root, in a mount namespace that ends with them. Every step is an
exec, so that the process id that Popen sees is the program's own.
"""
from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from .base import LAB


def argv(
    root: Path,
    command: Sequence[str],
    binds: Mapping[str, Path] | None = None,
    namespace: str | None = None,
    writable: bool = False,
    tmp_mib: int = 64,
) -> list[str]:
    """The command line that runs `command` in `root`.

    `binds` maps directory names below /lab to directories of the host; the rest of the root is read-only unless `writable`.
    """
    inside = shlex.quote(str(root))
    steps = ["set -e"]
    if not writable:
        steps += [f"mount --bind {inside} {inside}", f"mount -o remount,bind,ro {inside}"]
    steps += [
        f"mount -t proc proc {inside}/proc",
        f"mount --rbind /dev {inside}/dev",
        f"mount -t tmpfs -o size={tmp_mib}m,mode=1777 tmp {inside}/tmp",
        f"mount -t tmpfs -o mode=755 run {inside}/run",
        f"mount -t tmpfs -o mode=755 lab {inside}{LAB}",
    ]
    for name, directory in (binds or {}).items():
        target = f"{inside}{LAB}/{name}"
        steps += [f"mkdir -p {target}", f"mount --bind {shlex.quote(str(directory))} {target}"]
    # User-mode Linux keeps its memory in TMPDIR and its control socket below HOME.
    clean = "env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp TMPDIR=/tmp LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive"
    steps.append(f'exec {clean} chroot {inside} "$@"')
    enter = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "; ".join(steps), "sandbox"]
    return [*enter, *unshare, *command]
