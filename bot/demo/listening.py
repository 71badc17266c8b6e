"""Where the demo's servers listen: on loopback ports that can be taken again after a kill."""

from __future__ import annotations

import os
import random

from aiohttp import web

from core.errors import Refused

VARIABLE = "STATIONMASTER_DEMO_PORTS"
# Below the ports that systems hand out by themselves: nobody else is given ours while we are away.
_PORTS = "20000-31999"
_TRIES = 100


async def listen(runner: web.AppRunner, port: int) -> int:
    """Listen on `port`, or on a free one where it is 0; returns the port. Refused when there is none to be had."""
    why = ""
    for chosen in [port] if port else random.choices(_ports(), k=_TRIES):
        try:
            await web.TCPSite(runner, "127.0.0.1", chosen).start()
        except OSError as error:
            why = str(error)
        else:
            return chosen
    if port:
        next_ = "end the program that has it, or begin anew in another --state folder"
        raise Refused(f"the demo cannot listen on its port {port} again", why, next_)
    raise Refused("the demo found no port to listen on", why, f"give it others: {VARIABLE}={_PORTS}")


def _ports() -> range:
    said = os.environ.get(VARIABLE, _PORTS)
    first, _, last = said.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 1024 <= int(first) <= int(last) < 65536):
        raise Refused(f"{VARIABLE} is no range of ports", f"it says {said[:40]!r}", f"{VARIABLE}={_PORTS}")
    return range(int(first), int(last) + 1)
