"""How a command of `stationmaster` runs: its coroutine, its station, who typed it, what it prints and exits with.

Exit codes: 0 done, 1 a step failed, 2 refused, 3 needs an operator's answer (spec 10.1). Heavy imports wait until a
command needs them, so that `--help` is quick.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bot.bootstrap import Station
    from core.board import Board
    from core.permissions import Actor

_SENTENCE = 300  # characters, at most
Found = TypeVar("Found")
Option = Callable[[Callable[..., None]], Callable[..., None]]


class Group(click.Group):
    """Shows its commands in the order of their use, each with its whole first sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(_SENTENCE)) for name, one in self.commands.items()])


class Root(Group):
    """The whole command line; whoever asked for JSON gets mistakes of typing as JSON, too."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        self._wants_json = "--json" in args[: args.index("--") if "--" in args else None]
        with self._usage():
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with self._usage():
            return super().invoke(ctx)

    @contextmanager
    def _usage(self) -> Generator[None]:
        try:
            yield
        except click.UsageError as error:
            if not self._wants_json:
                raise
            from core.errors import Reason

            usage, help_ = (error.ctx.get_usage(), f"{error.ctx.command_path} --help") if error.ctx else ("", "--help")
            say_json({"reasons": [Reason(error.format_message(), usage, help_)]}, err=True)
            sys.exit(error.exit_code)


json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


def runs(command: Callable[..., Awaitable[int | None]]) -> Callable[..., None]:
    """Run the coroutine; troubles become lines on stderr, or JSON where that was asked for, and an exit code."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        from bot.release_console import refusal
        from core.errors import Trouble

        async def to_the_end() -> int | None:  # what can be awaited need not be a coroutine, which `run` insists on
            return await command(*args, **kwargs)

        try:
            code = asyncio.run(to_the_end()) or 0
        except Trouble as trouble:
            if kwargs.get("as_json"):
                say_json({"reasons": trouble.reasons}, err=True)
            else:
                say(refusal(trouble.reasons), err=True)
            code = trouble.exit_code
        except KeyboardInterrupt:
            click.echo("interrupted; nothing is lost: release status tells how it stands", err=True)
            code = 130
        sys.exit(code)

    return run


def dressed(command: Callable[..., None], options: Sequence[Option]) -> Callable[..., None]:
    """The command with arguments and options, in the order in which its help shows them."""
    for option in reversed(options):
        command = option(command)
    return command


@asynccontextmanager
async def opened_station() -> AsyncGenerator[Station]:
    """A station on the configuration that the environment names; Refused for somebody who works with another one."""
    from bot.bootstrap import opened
    from core.errors import Refused

    if url := os.environ.get("STATIONMASTER_URL"):
        why = f"it works on the record of this machine, and STATIONMASTER_URL says {url}"
        raise Refused("this command does not go through the API", why, "env -u STATIONMASTER_URL stationmaster …")
    async with opened() as station:
        yield station


@asynccontextmanager
async def opened_board() -> AsyncGenerator[Board]:
    """The task board of that station, or of the one at STATIONMASTER_URL, for whoever STATIONMASTER_TOKEN is of."""
    if url := os.environ.get("STATIONMASTER_URL"):
        from bot.remote import opened_remote
        from core.board import Board

        async with opened_remote(Board, url, os.environ.get("STATIONMASTER_TOKEN", "")) as board:
            yield board
        return
    async with opened_station() as station:
        yield station.board


def actor() -> Actor:
    """Whoever has the database and the credentials in hand may do everything: the user of this machine, by number.

    STATIONMASTER_ACTOR names one of several for whom this user's shell speaks; it never gives another user's identity.
    """
    from core.permissions import Actor, Face, Role
    from core.words import shown_name

    user, speaks_for = _logged_in(), shown_name(os.environ.get("STATIONMASTER_ACTOR", ""))
    identity = f"os:{user}{_machine()}"
    if speaks_for:
        return Actor(f"{identity}/{speaks_for.casefold()}", speaks_for, frozenset(Role), Face.CLI)
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # a container runs under a number that has no name
        name = f"user {user}"
    return Actor(identity, name, frozenset(Role), Face.CLI)


def _logged_in() -> int:
    """The number of the user who logged in: behind `sudo` it is whoever typed that. No variable says otherwise."""
    user, process = os.getuid(), os.getppid()
    while user == 0 and process > 1:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            break
        told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        user, process = int(told["Uid"].split()[0]), int(told["PPid"])
    return user


def _machine() -> str:
    """@ and a word for this machine, whose user 1000 is not another's; blank in a container that has no such number.

    A host name would be a new one for every container, and its users other people.
    """
    try:
        number = Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""
    return f"@{sha256(f'stationmaster {number}'.encode()).hexdigest()[:8]}" if number else ""


def say(lines: Iterable[str], *, err: bool = False) -> None:
    """Print."""
    for line in lines:
        click.echo(line, err=err)


def show(found: Found, lines: Callable[[Found], Iterable[str]], as_json: bool) -> None:
    """Print what was found, for people or for programs."""
    say_json(found) if as_json else say(lines(found))


def say_json(value: object, *, err: bool = False) -> None:
    """Print as JSON, in which nothing repaints a terminal or turns the direction of its text."""
    import json
    import re

    def seen(found: re.Match[str]) -> str:
        return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]

    text = json.dumps(plain(value), ensure_ascii=False, indent=2)
    click.echo(re.sub("[^\n -~]", seen, text), err=err)


def plain(value: object) -> Any:
    """The same in words that JSON has."""
    import msgspec

    return msgspec.to_builtins(value, enc_hook=str)
