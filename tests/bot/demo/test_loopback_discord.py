"""The loopback Discord seen from both sides: by the real discord.py client and by people."""

from __future__ import annotations

import asyncio

import discord

from bot.demo.discord import LoopbackDiscord
from tests.bot.demo.conftest import Bot


async def test_a_whole_release_can_be_talked_through_without_breaking_discords_rules(
    loopback: LoopbackDiscord, bot: Bot
) -> None:
    olive = loopback.person("operator")
    assert (await olive.command(["release", "status"]))["message"]["content"] == "all quiet"
    shown = await olive.command(["release", "plan"], {"train": "june"})
    assert shown["outcome"] == "message"
    print(shown)
    r = await olive.click(shown["message"]["id"], "ship:june")
    assert r["outcome"] == "updated"
    print(loopback.violations, loopback.answers)
    assert loopback.violations == []
