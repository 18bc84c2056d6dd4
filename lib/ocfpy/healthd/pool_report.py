"""Reports a change of a pool's live backends: to the gate first, then to the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ocfpy.ocf.log import Log

if TYPE_CHECKING:
    from ocfpy.healthd.gate import Gate
    from ocfpy.healthd.publisher import Publisher


class PoolReport:
    """Stands between an engine and its attribute, so that the route is withdrawn before the cluster is told.

    `why` returns the cause, and `is_short` whether backends are alive, fewer than the quorum; both are called when 0 is reported.
    """

    def __init__(
        self, publisher: Publisher, gate: Gate, why: Callable[[], str], is_short: Callable[[], bool] = lambda: False
    ) -> None:
        self.publisher = publisher
        self.said = publisher.said
        self._gate = gate
        self._why = why
        self._is_short = is_short
        self._reported: tuple[int, bool] | None = None
        gate.expect(publisher.name)

    @property
    def value(self) -> int | None:
        """The number that the cluster should have, None before the first."""
        return self.publisher.value

    @property
    def taken(self) -> bool:
        """Whether the cluster accepted the last value sent."""
        return self.publisher.taken

    @property
    def dampen(self) -> str:
        """How long attrd waits before it writes a change to the CIB, in attrd_updater's notation."""
        return self.publisher.dampen

    @dampen.setter
    def dampen(self, dampen: str) -> None:
        self.publisher.dampen = dampen

    def want(self, value: int) -> None:
        """Report a number of live backends, 0 without the quorum. Returns at once."""
        short = not value and self._is_short()
        if (value, short) != self._reported:
            self._reported = value, short
            self._gate.pool(self.publisher.name, value, "" if value else self._why(), short)
        self.publisher.want(value)

    async def run(self) -> None:
        """Run the publisher."""
        await self.publisher.run()

    async def delete(self) -> None:
        """Withdraw the report: no backend serves without its pool, so the gate shuts."""
        self._gate.forget(self.publisher.name)
        await self.publisher.delete()


class PoolLog(Log):
    """The log of one pool: lines of the node's log that begin with the name of the pool."""

    def __init__(self, node_log: Log, pool: str) -> None:
        self._node_log = node_log
        self._pool = pool
        self._debug = node_log._debug

    def _write(self, level: str, text: str) -> None:
        self._node_log._write(level, f"{self._pool}: {text}")
