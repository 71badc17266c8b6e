"""The read-only look at a production site: GET only (spec 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from adapters.config_files import Suite
from adapters.web import Web
from core.errors import Unreachable
from core.journal import PageCheck, SealRecord, SealStatus
from core.ports import Clock
from core.registry import App


class HttpSmoke:
    """Implements `core.ports.Smoke`. `suites` by app; an app without one is asked for `/up` alone.

    `boot_seconds`: how long to wait before what failed is looked at once more (L45).
    """

    def __init__(self, web: Web, suites: Mapping[str, Suite], clock: Clock, boot_seconds: float = 20) -> None:
        self._web, self._suites, self._clock, self._boot_seconds = web, suites, clock, boot_seconds

    async def check(self, app: App) -> SealRecord:
        """See `core.ports.Smoke`; UNSEALED with the reason when no verdict could be had."""
        checks: tuple[PageCheck, ...] = ()
        if app.base_url is None:
            status, summary = SealStatus.UNSEALED, "not sealed: no smoke_url and no production_url"
        else:
            checks = await self._look_twice(app.base_url.rstrip("/"), self._suites.get(app.name, Suite()))
            status, summary = _verdict(checks)
        return SealRecord(app=app.name, status=status, summary=summary, checked_at=self._clock.now(), checks=checks)

    async def _look_twice(self, base_url: str, suite: Suite) -> tuple[PageCheck, ...]:
        wanted = [_Wanted("/up"), *(_Wanted(page.path, 200, page.contains) for page in suite.pages)]
        wanted += [_Wanted(path, 404) for path in suite.removed]
        checks = await asyncio.gather(*(self._look(base_url, one) for one in wanted))
        failing = [number for number, check in enumerate(checks) if not check.ok]
        if failing:
            await self._clock.sleep(self._boot_seconds)
            again = await asyncio.gather(*(self._look(base_url, wanted[number]) for number in failing))
            for number, check in zip(failing, again, strict=True):
                checks[number] = check
        return tuple(checks)

    async def _look(self, base_url: str, wanted: _Wanted) -> PageCheck:
        try:
            answer = await self._web.get(f"{base_url}{wanted.path}")
        except Unreachable as trouble:
            return PageCheck(wanted.name, False, f"no answer: {trouble.reasons[0].why}")
        if answer.status != wanted.status:
            return PageCheck(wanted.name, False, f"{answer.status}")
        if wanted.contains and wanted.contains not in answer.body.decode(errors="replace"):
            return PageCheck(wanted.name, False, f"{answer.status}, but without {wanted.contains!r}")
        return PageCheck(wanted.name, True, f"{answer.status}")


class _Wanted(msgspec.Struct, frozen=True):
    path: str
    status: int = 200
    contains: str | None = None

    @property
    def name(self) -> str:
        text = f" with {self.contains!r}" if self.contains else ""
        return f"{self.path} is {self.status}{text}"


def _verdict(checks: tuple[PageCheck, ...]) -> tuple[SealStatus, str]:
    passed = sum(check.ok for check in checks)
    failed = [check for check in checks if not check.ok]
    why = f"; {failed[0].name}: {failed[0].detail}" if failed else ""
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    return (SealStatus.RED if failed else SealStatus.GREEN), f"{passed} of {len(checks)} checks passed{why}{more}"
