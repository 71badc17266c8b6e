"""The one way in which tests wait for what tells nobody when it happens: look again and again, until a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 30.0
_GLANCE_SECONDS = 0.01


async def until(is_so: Callable[[], object], patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `is_so` answers something true, at once or when awaited; raises TimeoutError after the patience."""
    async with asyncio.timeout(patience_seconds):
        while not (await found if isinstance(found := is_so(), Awaitable) else found):
            await asyncio.sleep(_GLANCE_SECONDS)
