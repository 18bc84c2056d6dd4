"""The settings of a check: one typed set of options, the same in the agent, the daemon and the checker."""

from __future__ import annotations

from ocfpy.checks.registry import FROM_FILES, OPTIONS, SECRETS, TLS_FILES, kind_of
from ocfpy.ocf.values import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class CheckSettings(Record):
    """The settings of a check.

    `interval` and `timeout` are in seconds, and so is `retry_interval`: how soon a check follows one that contradicts what is
    believed of its server, 0 for the usual interval; `port` 0 is the one that the server's traffic goes to. The options are
    those of checks.registry, as texts, for files and sockets; `settings["path"]` is what an option says, its default where
    nothing is said. A check makes typed values of them once, see options.py.
    With `connects`, so many mere connections are tried between two checks that are as the type says.
    """

    __slots__ = ("connects", "fall", "interval", "options", "port", "retry_interval", "rise", "timeout", "type")

    def __init__(
        self,
        type: str = "tcp",
        port: int = 0,
        interval: float = 2.0,
        timeout: float = 1.0,
        rise: int = 2,
        fall: int = 3,
        options: Iterable[tuple[str, str]] = (),
        connects: int = 0,
        retry_interval: float = 0.0,
        **more_options: str,
    ) -> None:
        self.type = type
        self.connects = connects
        self.retry_interval = retry_interval
        self.port = port
        self.interval = interval
        self.timeout = timeout
        self.rise = rise
        self.fall = fall
        said = {**dict(options), **more_options}
        self.options = tuple(sorted((name, text) for name, text in said.items() if text != OPTIONS[name]))

    def __getitem__(self, name: str) -> str:
        return dict(self.options).get(name, OPTIONS[name])

    def __repr__(self) -> str:
        hidden = {name: "..." if name in (*SECRETS, *FROM_FILES) else text for name, text in self.options}
        return f"CheckSettings({self.type!r}, port={self.port}, interval={self.interval:g}, options={hidden})"

    def flag(self, name: str) -> bool:
        """Whether an option is switched on."""
        return self[name] == "true"

    @property
    def speaks_tls(self) -> bool:
        """Whether this check uses TLS, from the start or after STARTTLS."""
        return kind_of(self.type).tls or self.flag("starttls")

    def tls_files(self) -> list[str]:
        """The files of its TLS."""
        return [self[name] for name in TLS_FILES if self[name]] if self.speaks_tls else []

    def port_of(self, port: int) -> int:
        """Return the port to check of a server whose traffic goes to `port`, 0 for every one; 0 if the check needs none."""
        usual = kind_of(self.type).port
        return 0 if usual is None else self.port or port or usual

    def identity(self) -> str:
        """The identity of the check: the same on both nodes of a pair, even if their source addresses differ. No secrets."""
        parts = [self.type, *(f"{name}={text}" for name, text in self.options if name not in (*SECRETS, "bind"))]
        return "|".join([*parts, str(self.connects)] if self.connects else parts)
