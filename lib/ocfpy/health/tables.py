"""Opens the kernel's IPVS table, without the 300 modules that importing pyroute2 as a whole brings in."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

from ocfpy.ocf.errors import NotInstalledError

if TYPE_CHECKING:
    from ocfpy.ipvs.table import IpvsTable


def open_table() -> IpvsTable:
    """The table of this network namespace. Raises NotInstalledError, PermissionError."""
    if "ocfpy.ipvs.table" not in sys.modules:
        _import_quickly()
    from ocfpy.ipvs.table import IpvsTable

    return IpvsTable()


def _import_quickly() -> None:
    """Imports what of pyroute2 the table needs, past the package's own __init__ (measured: 36 ms instead of
    370 ms).
    """
    spec = find_spec("pyroute2")
    if spec is None or spec.submodule_search_locations is None:
        raise NotInstalledError("Python has no module pyroute2: install package python3-pyroute2")
    if "pyroute2" in sys.modules:
        return
    package = ModuleType("pyroute2")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["pyroute2"] = package
    try:
        importlib.import_module("ocfpy.ipvs.table")
    except (ImportError, AttributeError):
        pass  # a pyroute2 whose modules need the package: it will be imported as it is meant to be
    finally:
        del sys.modules["pyroute2"]
