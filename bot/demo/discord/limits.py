"""Rate limits as Discord enforces them: buckets per route and channel, hidden sub-limits and the limit over all calls.

Discord publishes no numbers; the table holds observed values (discord.md 2.2) and is a parameter.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.demo.discord.protocol import ApiError


@dataclass(frozen=True)
class Window:
    """So many calls per so many seconds; `code` is Discord's error code when it is exceeded."""

    calls: int
    seconds: float
    code: int = 0
    scope: str = "user"


OBSERVED: Mapping[str, Window] = {
    "send": Window(5, 5.0),
    "edit": Window(5, 5.0),
    "old edit": Window(3, 20.0, code=30046),
    "thread": Window(20, 300.0, scope="shared"),  # no figure is known, only that there is one
    "webhook": Window(5, 2.0),
    "sync": Window(2, 60.0),  # unknown; low on purpose, so that syncing at every start hurts
    "other": Window(50, 1.0),
}


@dataclass(frozen=True)
class Limits:
    """What is enforced: one window per kind of call and major parameter, and calls per second over all of them."""

    table: Mapping[str, Window] = field(default_factory=lambda: OBSERVED)
    calls_per_second: int = 50
    old_message_seconds: float = 3600.0


@dataclass(frozen=True)
class Hit:
    """One 429 that was sent."""

    kind: str
    major: str
    retry_after: float


class RateLimited(ApiError):
    """429 with the headers discord.py needs; without Via it would take it for a ban (discord.md 1.5)."""

    def __init__(self, window: Window, retry_after: float, scope: str) -> None:
        super().__init__(429, window.code, "You are being rate limited.")
        self.body |= {"retry_after": retry_after, "global": scope == "global"}
        self.headers = {"Via": "1.1 loopback", "Retry-After": str(int(retry_after) + 1), "X-RateLimit-Scope": scope}


class Meter:
    """Counts the calls of one bot."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.hits: list[Hit] = []
        self._open: dict[tuple[str, str], tuple[float, int]] = {}  # (kind, major) → (end of window, calls in it)

    def take(self, kind: str, major: str) -> dict[str, str]:
        """Count one call and return the rate-limit headers of its answer; raises RateLimited."""
        window = self.limits.table.get(kind, OBSERVED["other"])
        used, remaining_seconds = self._count(kind, major, window, window.scope)
        return {
            "X-RateLimit-Limit": str(window.calls),
            "X-RateLimit-Remaining": str(window.calls - used),
            "X-RateLimit-Reset": f"{time.time() + remaining_seconds:.3f}",
            "X-RateLimit-Reset-After": f"{remaining_seconds:.3f}",
            "X-RateLimit-Bucket": f"bucket-{kind.replace(' ', '-')}",
        }

    def take_global(self) -> None:
        """Count one call against the limit over all routes; interaction calls are exempt and never come here."""
        self._count("all", "", Window(self.limits.calls_per_second, 1.0), "global")

    def _count(self, kind: str, major: str, window: Window, scope: str) -> tuple[int, float]:
        clock = time.monotonic()
        end, used = self._open.get((kind, major), (0.0, 0))
        if clock >= end:
            end, used = clock + window.seconds, 0
        if used >= window.calls:
            self.hits.append(Hit(kind, major, round(end - clock, 3)))
            raise RateLimited(window, round(end - clock, 3), scope)
        self._open[kind, major] = (end, used + 1)
        return used + 1, end - clock
