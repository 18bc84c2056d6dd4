"""The configuration of an ipvs-pool: all its parameters, and their values with a typed attribute for each."""

from __future__ import annotations

from ocfpy.agents.ipvs_pool_check_parameters import CheckParameters
from ocfpy.agents.ipvs_pool_parameters import ServiceParameters
from ocfpy.checks.registry import OPTIONS
from ocfpy.ocf.parameters import PathParam, declared_parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any


class PoolParameters(CheckParameters, ServiceParameters):
    """The declarations of the agent."""

    config = PathParam(
        "ldirectord's configuration",
        "An ldirectord.cf, read like ldirectord does, instead of all parameters that describe services and checks. Each node has"
        " its own file; start and reload-agent read it, and with autoreload=yes in it the daemon applies changes of the file by"
        " itself. Host names are resolved when the file is read. An unsupported directive is an"
        " error that names its line.",
        reloadable=True,
    )


class PoolConfig(PoolParameters):
    """The values of the parameters; `given` are the names of those that are set, well-formed or not."""

    def __init__(self, values: dict[str, Any], given: Collection[str]) -> None:
        self.values = values
        self.given = given

    @staticmethod
    def names() -> list[str]:
        """Return the names of all parameters, in the order of their declaration."""
        return [parameter.name for parameter in declared_parameters(PoolParameters)]

    def options(self) -> dict[str, str]:
        """Return the options of the check that differ from their defaults, as texts: some tools spell out every default."""
        spell = {parameter.name: parameter.spell for parameter in declared_parameters(PoolParameters)}
        given = [name for name in OPTIONS if f"check_{name}" in self.given]
        texts = {name: spell[f"check_{name}"](self.values[f"check_{name}"]) for name in given}
        if "config" in self.given:
            texts.pop("command_user", None)  # it is of the commands in the file
        return {name: text for name, text in texts.items() if text != OPTIONS[name]}
