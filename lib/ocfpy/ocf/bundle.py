"""Writes the byte code of all modules that an agent imports into one file, its bundle, which ocfpy/ocf/bundled.py loads.

Pacemaker runs a monitor for every resource every few seconds. Without a bundle more than half of a monitor's system calls
are those of import. A bundle begins with the magic number of the Python that wrote it, and lists the sources with their
mtime and size, as byte code does: any other Python, and a library that was changed since, import as usual.
"""

from __future__ import annotations
import __future__

import ast
import marshal
import os
import sys
from importlib.util import MAGIC_NUMBER

from ocfpy.ocf.bundled import HEAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

DIRECTORY = "bundles"
DISPATCH = "ocfpy.ocf.dispatch"
LOADER = "ocfpy.ocf.bundled"
PART = 65536
"""Bytes read at a time, so that the same memory is used again."""


def path_of(library: str, agent: str) -> str:
    """The bundle of the agent's module, for this Python."""
    return f"{library}/{DIRECTORY}/{agent}.{sys.implementation.cache_tag}"


def write(library: str, agent: str, installed_as: str) -> None:
    """Write the bundle of the agent's module, replacing an older one; installed_as is where the library will be used."""
    parts: list[list[CodeType]] = [[]]
    index = []
    for name in imported_by(library, (DISPATCH, agent)):
        path = _source(library, name)
        status = os.stat(f"{library}/{path}")
        index.append((name, path, int(status.st_mtime), status.st_size))
        parts[-1].append(_code(library, path, installed_as))
        if len(marshal.dumps(tuple(parts[-1]))) > PART:
            parts.append([])
    blobs = [marshal.dumps(tuple(part)) for part in parts]
    listed = marshal.dumps((installed_as, tuple(index), tuple(len(blob) for blob in blobs)))
    loader = MAGIC_NUMBER + marshal.dumps(_code(library, _source(library, LOADER), installed_as))
    if max(len(loader), len(listed)) > HEAD:
        raise ValueError(f"the bundle of {agent} has no room for {len(loader)} and {len(listed)} bytes: raise HEAD")
    content = loader.ljust(HEAD, b"\0") + listed.ljust(HEAD, b"\0") + b"".join(blobs)
    path = path_of(library, agent)
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        os.rename(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def imported_by(library: str, names: tuple[str, ...]) -> list[str]:
    """The library's modules that these import, each behind those that it imports itself."""
    found: dict[str, None] = {}
    visited = set()

    def visit(name: str) -> None:
        if name in visited:
            return
        visited.add(name)
        if "." in name:
            visit(name.rpartition(".")[0])
        for wanted in _imports(library, _tree(library, _source(library, name))):
            visit(wanted)
        found[name] = None

    for name in names:
        visit(name)
    return list(found)


def _imports(library: str, tree: ast.Module) -> Iterator[str]:
    """What a module imports of the library at import time, not in a function."""
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names if _source(library, alias.name))
        elif isinstance(statement, ast.ImportFrom) and statement.module and _source(library, statement.module):
            yield statement.module
            submodules = (f"{statement.module}.{alias.name}" for alias in statement.names)
            yield from (name for name in submodules if _source(library, name))


def _source(library: str, name: str) -> str:
    """The path of a module below the library, empty when it is not one of the library's."""
    stem = name.replace(".", "/")
    return next((path for path in (f"{stem}/__init__.py", f"{stem}.py") if os.path.exists(f"{library}/{path}")), "")


def _tree(library: str, path: str) -> ast.Module:
    with open(f"{library}/{path}", encoding="utf-8") as file:
        tree: ast.Module = _Lean().visit(ast.parse(file.read()))
    return tree


def _code(library: str, path: str, installed_as: str) -> CodeType:
    """The byte code of a module, with the file and the line numbers that belong in a traceback."""
    flags = __future__.annotations.compiler_flag
    code: CodeType = compile(_tree(library, path), f"{installed_as}/{path}", "exec", flags=flags, dont_inherit=True)
    return code


class _Lean(ast.NodeTransformer):
    """Removes what costs a monitor time without effect: docstrings, code for type checkers, __future__."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "__future__" else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.copy_location(ast.Pass(), node) if is_text else self.generic_visit(node)
