"""The bot's process: the Discord face, the HTTP API and the dispatcher side by side until somebody stops it."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

import click

from bot.api.server import Api
from bot.bootstrap import Station
from bot.client import DiscordSettings
from bot.discord_faces import StationBot
from bot.release_console import log_line, one_line
from core.errors import Reason, Refused, Trouble
from core.permissions import Role

_CHECK_SECONDS = 8
_WAIT_SECONDS = 5
log = logging.getLogger(__name__)


async def serve(station: Station, *, with_discord: bool = True) -> None:
    """Until SIGTERM or SIGINT: then the thread gets its last words; a ship that runs is taken over at the next start.

    Refused when there is no token, or Discord does not know it; without Discord, when there is no API either.
    """
    if not with_discord and not station.settings.bot.api:
        raise Refused("there is nothing to serve", "config/bot.yml has no `api`", "api: {port: 8484}")
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: _masked(record, station.settings.secrets.mask))
    gc.freeze()  # what was loaded stays: looking through all of it for garbage stops everything for 50 ms, each time
    loop, serving = asyncio.get_running_loop(), asyncio.current_task()
    assert serving
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):
        bot = discord_bot(station) if with_discord else None
        async with asyncio.TaskGroup() as group:
            group.create_task(run_beside(station, bot, click.echo), name="faces")
            group.create_task(_log_events(station), name="log")


async def run_beside(station: Station, bot: StationBot | None, tell: Callable[[str], None] = lambda line: None) -> None:
    """The Discord face, the API where the configuration wants it, and the dispatcher, until cancelled or refused.

    `tell` hears of each face when it can be used.
    """
    try:
        async with asyncio.TaskGroup() as group:
            if bot:
                group.create_task(bot.run(), name="discord")
                group.create_task(_tell_when_ready(bot, tell), name="discord ready")
            if at := station.settings.bot.api:
                api = Api(station.ports.records, station.ports.clock, station.on)
                group.create_task(api.run(at.host, at.port, tell), name="api")
            group.create_task(station.dispatcher.run_forever(), name="dispatcher")
            tell("driving ships; Ctrl-C ends it, and what runs is taken up again")
    except ExceptionGroup as broken:
        raise broken.exceptions[0] from broken


async def _tell_when_ready(bot: StationBot, tell: Callable[[str], None]) -> None:
    await bot.ready()
    tell("serving Discord")


async def _log_events(station: Station) -> None:
    """One line for everything that happens from now on, whoever does it."""
    records = station.ports.records
    async with records.reading() as tx:
        seen = await tx.last_event()
    while True:
        try:
            if await records.wait_for_events(seen, _WAIT_SECONDS):
                async with records.reading() as tx:
                    events = await tx.events(after=seen)
                for event in events:
                    log.info("%s", log_line(event), extra={"action": event.kind})
                    seen = event.id
        except Trouble as trouble:  # what cannot be read now ends nothing
            log.warning("%s", trouble, extra={"action": "serve.log"})
            await station.ports.clock.sleep(_WAIT_SECONDS)


def _masked(record: logging.LogRecord, mask: Callable[[str], str]) -> bool:
    record.msg, record.args = one_line(mask(record.getMessage())), ()
    return True


async def discord_problems(station: Station) -> tuple[Reason, ...]:
    """Connect once, and say what is wrong with token, server, channel and permissions."""
    try:
        bot = discord_bot(station)
    except Refused as refusal:
        return refusal.reasons
    try:
        async with asyncio.timeout(_CHECK_SECONDS), asyncio.TaskGroup() as group:
            connecting = group.create_task(bot.connection.run(), name="discord check")
            problems = (await bot.ready()).problems
            connecting.cancel()
        return problems
    except TimeoutError:
        return (Reason("Discord does not answer", f"not ready within {_CHECK_SECONDS} s", "try again in a minute"),)
    except ExceptionGroup as broken:
        if refusals := broken.subgroup(Refused):
            return tuple(reason for one in refusals.exceptions if isinstance(one, Refused) for reason in one.reasons)
        raise
    finally:
        await bot.connection.close()


def discord_bot(station: Station) -> StationBot:
    """The Discord face of `station`; Refused without a token."""
    said = station.settings.bot.discord
    if not station.settings.secrets.has(said.token_env):
        next_ = f"export {said.token_env}=… with the token of your bot; the command line works without it"
        raise Refused(f"{said.token_env} is not set", "it holds the bot's token", next_)
    if said.discord_api:
        from bot.demo.discord.redirect import redirect_client  # a heavy neighbourhood, for nobody in production

        redirect_client(said.discord_api)
    settings = DiscordSettings(
        token=station.settings.secrets.reveal(said.token_env),
        guild_id=said.guild_id,
        channel_id=said.channel_id,
        role_ids={Role(name): number for name, number in said.role_ids},
    )
    return StationBot(
        settings, station.conductor, station.board, station.ports.records, station.deliveries, station.doorkeeper
    )
