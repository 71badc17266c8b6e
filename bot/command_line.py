"""How a command of `stationmaster` runs: its coroutine, its station, who typed it, what it prints and exits with.

Exit codes: 0 done, 1 a step failed, 2 refused, 3 needs an operator's answer (spec 10.1). Heavy imports wait until a
command needs them, so that `--help` is quick.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bot.bootstrap import Station
    from core.permissions import Actor

Found = TypeVar("Found")

json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


def runs(command: Callable[..., Awaitable[int | None]]) -> Callable[..., None]:
    """Run the coroutine; troubles become lines on stderr and an exit code."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        from bot.console import refusal
        from core.errors import Trouble

        async def to_the_end() -> int | None:
            return await command(*args, **kwargs)

        try:
            code = asyncio.run(to_the_end()) or 0
        except Trouble as trouble:
            for line in refusal(trouble.reasons):
                click.echo(line, err=True)
            code = trouble.exit_code
        except KeyboardInterrupt:
            click.echo("interrupted; nothing is lost: release status tells how it stands", err=True)
            code = 130
        sys.exit(code)

    return run


@asynccontextmanager
async def opened_station() -> AsyncGenerator[Station]:
    """A station on the configuration that the environment names."""
    from bot.bootstrap import opened

    async with opened() as station:
        yield station


def actor() -> Actor:
    """Whoever has the database and the credentials in hand may do everything; the name is for the record."""
    from core.permissions import Actor, Face, Role

    return Actor(os.environ.get("STATIONMASTER_ACTOR") or getpass.getuser(), frozenset(Role), Face.CLI)


def say(lines: Iterable[str]) -> None:
    """Print."""
    for line in lines:
        click.echo(line)


def show(found: Found, lines: Callable[[Found], Iterable[str]], as_json: bool) -> None:
    """Print what was found, for people or for programs."""
    say_json(found) if as_json else say(lines(found))


def say_json(value: object) -> None:
    """Print as JSON."""
    import json

    click.echo(json.dumps(plain(value), ensure_ascii=False, indent=2))


def plain(value: object) -> Any:
    """The same in words that JSON has."""
    import msgspec

    return msgspec.to_builtins(value, enc_hook=str)
