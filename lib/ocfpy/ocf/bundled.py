"""Loads the modules of a bundle from one file, where import would search, open and read each module separately."""

from __future__ import annotations

import marshal
import os
import sys

HEAD = 16384
"""Size of a bundle's first two parts: the magic number with this module's code, and the index."""


def load(fd: int, library: str) -> str:
    """Run the modules of the bundle behind fd, in the order of their imports, and return the library's path.

    Return "", without any change, if the bundle is another library's or a source was changed since.
    Raises OSError for a missing source, marshal's errors for a damaged bundle, and the modules' own errors.
    """
    bundled_library, index, sizes = marshal.loads(os.pread(fd, HEAD, HEAD))
    if library != bundled_library:
        return ""
    for _, path, mtime, size in index:
        found = os.stat(f"{library}/{path}")
        if int(found.st_mtime) != mtime or found.st_size != size:
            return ""
    os.lseek(fd, 2 * HEAD, os.SEEK_SET)
    codes = [code for size in sizes for code in marshal.loads(os.read(fd, size))]
    modules = []
    # All are loaded before the first one runs: a package may import its own modules.
    for name, path, _, _ in index:
        module = type(sys)(name)
        module.__file__ = f"{library}/{path}"
        if path.endswith("/__init__.py"):
            module.__path__ = [os.path.dirname(module.__file__)]
        modules.append(module)
    sys.modules.update((module.__name__, module) for module in modules)
    try:
        for module, code in zip(modules, codes):
            exec(code, module.__dict__)
            parent, _, child = module.__name__.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, module)
    except BaseException:
        for module in modules:
            del sys.modules[module.__name__]
        raise
    return library
