"""The demo's world: what it leaves behind when it cannot be laid out, and where it is when it is entered again."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from bot.demo.transcript import Transcript
from bot.demo.world import DemoWorld


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
