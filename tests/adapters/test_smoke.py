"""The seal's look at a site, over real HTTP: what it asks, and what it concludes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest
from aiohttp import web

from adapters.config_files import Page, Suite
from adapters.smoke import HttpSmoke
from adapters.web import Web
from core.journal import SealRecord, SealStatus
from core.registry import App, Target

SUITE = Suite(
    pages=(Page(path="/", contains="Welcome"), Page(path="/sign-in"), Page(path="/terms", contains="§ 1")),
    removed=("/old-cart",),
)
HEALTHY = {"/up": (200, ""), "/": (200, "<h1>Welcome</h1>"), "/sign-in": (200, "in"), "/terms": (200, "§ 1")}


class Site:
    """A production site that remembers how it was asked. `pages`: path → status and text, else 404.

    It answers nobody before `together` visitors are there.
    """

    def __init__(self) -> None:
        self.pages = dict(HEALTHY)
        self.asked: list[tuple[str, str]] = []
        self.together, self._enough = 1, asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path))
        if len(self.asked) >= self.together:
            self._enough.set()
        await self._enough.wait()
        status, text = self.pages.get(request.path, (404, "not found"))
        return web.Response(status=status, text=text)


class Clock:
    """Time stands still; `asleep` happens when somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.asleep = lambda: None

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep()


@pytest.fixture
async def site() -> AsyncGenerator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    await runner.cleanup()


@pytest.fixture
async def door() -> AsyncGenerator[Web]:
    door = Web(timeout_seconds=1)
    yield door
    await door.close()


def app_at(url: str | None) -> App:
    return App(name="hub", url="", prod_deploy=Target(strategy="repo_script", smoke_url=url))


async def seal(site: Site, door: Web, clock: Clock | None = None) -> SealRecord:
    return await HttpSmoke(door, {"hub": SUITE}, clock or Clock(), boot_seconds=20).check(app_at(f"{site.url}/"))


async def test_a_healthy_site_is_green_in_words(site: Site, door: Web):
    record = await seal(site, door)
    assert (record.status, record.summary) == (SealStatus.GREEN, "5 of 5 checks passed")
    assert [check.name for check in record.checks][:2] == ["/up is 200", "/ is 200 with 'Welcome'"]
    assert record.checked_at == Clock().now()


async def test_all_pages_are_asked_at_once(site: Site, door: Web):
    site.together = 5
    assert (await seal(site, door)).status is SealStatus.GREEN


async def test_it_only_ever_gets(site: Site, door: Web):
    site.pages["/"] = (500, "broken")
    await seal(site, door)
    assert {method for method, _ in site.asked} == {"GET"}
    assert sorted(path for _, path in site.asked) == ["/", "/", "/old-cart", "/sign-in", "/terms", "/up"]


@pytest.mark.parametrize(
    ("path", "answer", "complaint"),
    [
        ("/up", (503, ""), "/up is 200: 503"),
        ("/", (200, "Maintenance"), "/ is 200 with 'Welcome': 200, but without 'Welcome'"),
        ("/sign-in", (302, ""), "/sign-in is 200: 302"),
        ("/old-cart", (200, "still here"), "/old-cart is 404: 200"),
    ],
)
async def test_one_wrong_page_is_red_and_named(
    site: Site, door: Web, path: str, answer: tuple[int, str], complaint: str
):
    site.pages[path] = answer
    record = await seal(site, door)
    assert record.status is SealStatus.RED
    assert record.summary == f"4 of 5 checks passed; {complaint}"


async def test_a_site_that_is_wrong_all_over_has_a_short_verdict(site: Site, door: Web) -> None:
    site.pages |= dict.fromkeys(("/up", "/", "/sign-in"), (500, ""))
    record = await seal(site, door)
    assert record.summary == "2 of 5 checks passed; /up is 200: 500, and 2 more"
    assert sum(not check.ok for check in record.checks) == 3


async def test_a_site_probed_during_boot_gets_one_second_look_and_is_green(site: Site, door: Web):
    site.pages["/up"] = (503, "booting")
    clock = Clock()
    clock.asleep = lambda: site.pages.update(HEALTHY)
    assert (await seal(site, door, clock)).status is SealStatus.GREEN
    assert clock.slept == [20]
    assert [path for _, path in site.asked].count("/up") == 2
    assert [path for _, path in site.asked].count("/") == 1


async def test_a_site_that_does_not_answer_is_red_with_the_reason(door: Web):
    record = await HttpSmoke(door, {}, Clock()).check(app_at("http://127.0.0.1:9"))
    assert record.status is SealStatus.RED
    assert record.summary.startswith("0 of 1 checks passed; /up is 200: no answer: ")


async def test_an_app_without_an_address_is_not_sealed_and_never_probed_at_a_default(site: Site, door: Web):
    record = await HttpSmoke(door, {"hub": SUITE}, Clock()).check(app_at(None))
    assert (record.status, site.asked) == (SealStatus.UNSEALED, [])
    assert "no smoke_url" in record.summary


async def test_an_app_without_a_suite_is_asked_whether_it_is_up(site: Site, door: Web):
    record = await HttpSmoke(door, {}, Clock()).check(app_at(site.url))
    assert (record.summary, site.asked) == ("1 of 1 checks passed", [("GET", "/up")])
