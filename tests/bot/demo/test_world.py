"""The demo's world: what it leaves behind when it cannot be laid out, and where it is when it is entered again."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.demo import listening
from bot.demo.platform import Platform
from bot.demo.transcript import Transcript
from bot.demo.world import DemoWorld
from core.errors import Refused


async def test_a_world_that_cannot_be_laid_out_leaves_no_server_behind_and_can_be_entered_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise RuntimeError("the disk is full")

    world = DemoWorld(tmp_path, Transcript())
    with monkeypatch.context() as broken, pytest.raises(RuntimeError, match="the disk is full"):
        broken.setattr(world.origins, "create", fail)
        async with world:
            pass
    async with aiohttp.ClientSession() as client:
        for url in (world.discord.base_url, world.index.simple_url):
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.get(url)


async def test_a_new_server_never_takes_the_port_that_an_app_must_have_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def live() -> dict[str, str]:
        async with Platform(tmp_path, ("hub", "kiosk"), record=Transcript().record) as platform:
            return {name: app.url for name, app in platform.apps.items()}

    monkeypatch.setenv(listening.VARIABLE, "19990-19992")
    first = await live()
    assert [await live() for _ in range(5)] == [first] * 5


async def test_a_port_that_somebody_else_has_taken_is_named_with_what_to_do(tmp_path: Path) -> None:
    taken, late = (web.AppRunner(web.Application()) for _ in range(2))
    for runner in (taken, late):
        await runner.setup()
    try:
        port = await listening.listen(taken, 0)
        with pytest.raises(Refused, match=f"its port {port} again .* another --state folder"):
            await listening.listen(late, port)
    finally:
        await taken.cleanup()
        await late.cleanup()


@pytest.mark.parametrize("said", ["abc", "20000", "9-8", "80-90", "1024-70000", ""])
async def test_a_range_of_ports_that_is_none_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(listening.VARIABLE, said)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    with pytest.raises(Refused, match=f"{listening.VARIABLE} is no range of ports"):
        await listening.listen(runner, 0)
    await runner.cleanup()


async def test_where_every_port_is_taken_nobody_tries_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    runners = [web.AppRunner(web.Application()) for _ in range(2)]
    for runner in runners:
        await runner.setup()
    try:
        port = await listening.listen(runners[0], 0)
        monkeypatch.setenv(listening.VARIABLE, f"{port}-{port}")
        with pytest.raises(Refused, match="found no port"):
            await listening.listen(runners[1], 0)
    finally:
        for runner in runners:
            await runner.cleanup()
