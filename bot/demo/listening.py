"""Where the demo's servers listen: on loopback ports that can be taken again after a kill."""

from __future__ import annotations

import random

from aiohttp import web

# Below the ports that systems hand out by themselves: nobody else is given ours while we are away.
_PORTS = range(20_000, 32_000)


async def listen(runner: web.AppRunner, port: int) -> int:
    """Listen on `port`, or on a free one where it is 0; returns the port. OSError when somebody else has `port`."""
    while True:
        chosen = port or random.choice(_PORTS)
        try:
            await web.TCPSite(runner, "127.0.0.1", chosen).start()
        except OSError:
            if port:
                raise
        else:
            return chosen
