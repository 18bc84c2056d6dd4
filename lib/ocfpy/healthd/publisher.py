"""Tells the cluster how many backends are alive, without holding up the checks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

REPUBLISH_S = 30.0
"""How often an unchanged value is said again: an attribute manager that was restarted has forgotten it."""
RETRY_S = 1.0
"""How soon after a failure; while it has never worked, twice as long each time: this node may be in no cluster."""
CALM_S = 5.0
"""How long a change that is neither to nor from nothing alive waits for the next one.

Backends that die or return together are seen to within one interval, one after the other. Each change of an attribute makes
the cluster drop its plan and make another, and what matters is the first that returns and the last that dies.
"""


class Publisher:
    """One node attribute.

    `put` and `delete` block (they run attrd_updater) and return whether the cluster took it. Values that come
    while one is on its way are not queued: the latest one wins.
    """

    def __init__(
        self, put: Callable[[int], bool], delete: Callable[[], bool], thread: ThreadPoolExecutor | None = None
    ) -> None:
        self.value: int | None = None
        self.taken = False
        self.said = asyncio.Event()
        self._put = put
        self._delete = delete
        self._has_worked = False
        self._news = asyncio.Event()
        self._calm: asyncio.TimerHandle | None = None
        self._thread = thread or ThreadPoolExecutor(1, "attribute")

    def want(self, value: int) -> None:
        """Publishes the value if it is another one: at once when it is, or was, 0, else a moment later."""
        if value == self.value:
            return
        matters = value == 0 or not self.value
        self.value = value
        if matters:
            self._news.set()
        elif self._calm is None:
            self._calm = asyncio.get_running_loop().call_later(CALM_S, self._news.set)

    async def run(self) -> None:
        """Publishes until it is cancelled."""
        await self._news.wait()
        retry = RETRY_S
        while True:
            self._news.clear()
            assert self.value is not None
            value = self.value
            self._forget_calm()
            self.taken = await asyncio.get_running_loop().run_in_executor(self._thread, self._put, value)
            self._has_worked |= self.taken
            self.said.set()
            pause = REPUBLISH_S if self.taken else min(retry, REPUBLISH_S)
            retry = RETRY_S if self._has_worked else 2 * pause
            try:
                await asyncio.wait_for(self._news.wait(), pause)
            except asyncio.TimeoutError:
                pass

    def _forget_calm(self) -> None:
        """What is being published is the latest value: nothing is left to come out later, least of all in the next outage."""
        if self._calm is not None:
            self._calm.cancel()
            self._calm = None

    async def delete(self) -> None:
        """Takes the attribute away; `run` has to be cancelled first.

        The thread keeps it behind a value on its way.
        """
        self._forget_calm()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._delete)
