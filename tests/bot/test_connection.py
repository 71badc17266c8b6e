"""The connection survives what Discord does to it, and says once and clearly what only people can mend."""

from __future__ import annotations

import asyncio

import pytest

from bot.client import NEEDED, Connection, Patience, StationClient
from core.errors import Refused
from tests.bot.conftest import IMPATIENT, TIMEOUT, Yard, settings_of
from tests.world.waiting import until


class Idle:
    """Nobody presses or submits anything here."""

    async def press(self, *_: object, **__: object) -> None:
        raise AssertionError

    async def submit(self, *_: object, **__: object) -> None:
        raise AssertionError


def client_of(yard: Yard, **settings: object) -> StationClient:
    """A client that has no commands and hears no buttons."""
    return StationClient(settings_of(yard.loopback, **settings), yard.database, [], Idle())


async def test_a_wrong_token_is_refused_at_once_and_never_shown(yard: Yard) -> None:
    connection = Connection("somebody-elses", lambda: client_of(yard), IMPATIENT)
    with pytest.raises(Refused, match="does not know this bot token") as refused:
        async with asyncio.timeout(TIMEOUT):
            await connection.run()
    await connection.close()
    assert "somebody-elses" not in str(refused.value)
    assert yard.loopback.token not in repr(settings_of(yard.loopback))


@pytest.mark.parametrize(("rest", "gateway"), [(True, False), (False, True), (True, True)])
async def test_a_discord_that_is_down_at_the_start_is_waited_for(yard: Yard, rest: bool, gateway: bool) -> None:
    await yard.loopback.outage(rest=rest, gateway=gateway)
    lives: list[StationClient] = []

    def make() -> StationClient:
        lives.append(client_of(yard))
        return lives[-1]

    connection = Connection(yard.loopback.token, make, IMPATIENT)
    async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as group:
        running = group.create_task(connection.run())
        await until(lambda: len(lives) > 2)
        await yard.loopback.outage(rest=False, gateway=False)
        await until(lambda: lives[-1].checked.is_set())
        running.cancel()
    await connection.close()


async def test_a_gateway_that_stays_away_while_rest_answers_is_tried_anew(yard: Yard) -> None:
    lives: list[StationClient] = []

    def make() -> StationClient:
        lives.append(client_of(yard))
        return lives[-1]

    patience = Patience(first_pause=0.01, longest_pause=0.02, down=1.2, watch=0.05)
    connection = Connection(yard.loopback.token, make, patience)
    async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as group:
        running = group.create_task(connection.run())
        await (await connection.client()).wait_until_ready()
        await yard.loopback.outage(gateway=True)
        await until(lambda: len(lives) > 1)
        running.cancel()
    await connection.close()


async def test_every_missing_permission_is_named(yard: Yard) -> None:
    async with yard.bot() as bot:
        assert (await bot.ready()).problems == ()
    missing = {"pin_messages", "attach_files"}
    yard.loopback.guild.set_bot_permissions(str(yard.loopback.channel_id), NEEDED.value & ~((1 << 51) | (1 << 15)))
    async with yard.bot() as bot:
        problems = (await bot.ready()).problems
    assert {problem.what for problem in problems} == {
        f"the bot may not {name.replace('_', ' ')} in #releases" for name in missing
    }


async def test_a_wrong_channel_is_said_so(yard: Yard) -> None:
    async with yard.bot(channel_id=7) as bot:
        (problem,) = (await bot.ready()).problems
    assert problem.what == "Train Yard has no text channel 7 that the bot can see"


async def test_a_wrong_server_is_said_so_with_those_it_is_in(yard: Yard) -> None:
    async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as group:
        connection = Connection(yard.loopback.token, lambda: client_of(yard, guild_id=7), IMPATIENT)
        running = group.create_task(connection.run())
        client = await connection.client()
        await until(lambda: client.problems)
        running.cancel()
    await connection.close()
    assert client.problems[0].what == "the bot is not in the server 7"
    assert "Train Yard" in client.problems[0].why


async def test_commands_are_offered_once_and_again_only_when_they_changed_or_are_gone(yard: Yard) -> None:
    syncs = 0

    def count(event: str, *_: object) -> None:
        nonlocal syncs
        syncs += event == "commands"

    yard.loopback.guild.listeners.append(count)
    for _ in range(2):
        async with yard.bot():
            offered = sorted(each["name"] for each in yard.olive.commands())
            assert offered == ["deployments", "person", "release", "repos", "task", "token"]
    assert syncs == 1
    yard.loopback.guild.put("commands", str(yard.loopback.guild_id), [])
    async with yard.bot():
        assert len(yard.olive.commands()) == 6
    assert syncs == 2
