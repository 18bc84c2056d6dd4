"""A health daemon that is nothing but a gate: what pools say comes over the socket too.

`gate_server.py LIBRARY RUNDIR LOGFILE [ATTRIBUTE=ALIVE ...]`; the last words are what pools say to begin with.
Requests beside those of the gate: `pool ATTRIBUTE ALIVE WHY` (ALIVE is - for not known yet), `forget ATTRIBUTE` and `ping`;
`pool` also takes several attributes, with commas between them. Each answers by the milliseconds it took.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])

from ocfpy.healthd.gate import Gate
from ocfpy.ocf.log import Log


class GateServer:
    """Serves a gate on healthd.sock in a run directory."""

    def __init__(self, gate: Gate, rundir: str) -> None:
        self.gate = gate
        self.path = f"{rundir}/healthd.sock"

    async def listen(self) -> asyncio.AbstractServer:
        """Listen, in place of a server that was killed."""
        temporary = f"{self.path}.{os.getpid()}"
        server = await asyncio.start_unix_server(self._serve, temporary)
        os.rename(temporary, self.path)
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = (await reader.readline()).decode().rstrip("\n")
            writer.write(f"{await self.answer(line)}\n".encode())
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def answer(self, line: str) -> str:
        """Answer one request."""
        word, _, rest = line.partition(" ")
        if word == "gate":
            return await self.gate.answer(rest)
        begun = time.monotonic()
        if word == "pool":
            attributes, alive, why = (*rest.split(" ", 2), "")[:3]
            for attribute in attributes.split(","):
                self.gate.pool(attribute, None if alive == "-" else int(alive), why)
        elif word == "forget":
            self.gate.forget(rest)
        return f"{(time.monotonic() - begun) * 1000:.3f}"


async def main(rundir: str, logfile: str, pools: list[str]) -> None:
    """Serve until killed."""
    log = Log("healthd", "gate", {"HA_LOGFILE": logfile, "HA_LOGFACILITY": "none"})
    os.makedirs(rundir, mode=0o700, exist_ok=True)
    gate = Gate(rundir, log)
    for pool in pools:
        attribute, _, alive = pool.partition("=")
        gate.pool(attribute, int(alive))
    server = await GateServer(gate, rundir).listen()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[2], sys.argv[3], sys.argv[4:]))
