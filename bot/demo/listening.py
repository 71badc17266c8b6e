"""Where the demo's servers listen: on loopback ports that can be taken again after a kill."""

from __future__ import annotations

import os
import random

from aiohttp import web

from core.errors import Refused

VARIABLE = "STATIONMASTER_DEMO_PORTS"
# Below the ports that systems hand out by themselves: nobody else is given ours while we are away.
_PORTS = "20000-31999"


async def listen(runner: web.AppRunner, port: int) -> int:
    """Listen on `port`, or on a free one where it is 0; returns the port. Refused when somebody else has `port`."""
    first, _, last = os.environ.get(VARIABLE, _PORTS).partition("-")
    while True:
        chosen = port or random.randint(int(first), int(last))
        try:
            await web.TCPSite(runner, "127.0.0.1", chosen).start()
        except OSError as error:
            if port:
                next_ = "end the program that has it, or begin anew in another --state folder"
                raise Refused(f"the demo cannot listen on its port {port} again", str(error), next_) from error
        else:
            return chosen
