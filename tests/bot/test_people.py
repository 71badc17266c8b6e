"""Who somebody is, as each face says it, and how operators link people there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import discord
import pytest
from click.testing import CliRunner, Result

from bot.answering import actor_of
from bot.cli import cli
from bot.command_line import actor
from core.permissions import Face
from tests.bot.conftest import Yard
from tests.bot.conftest import refused as told
from tests.bot.test_cli import REFUSED, TASK, Desk
from tests.world.stations import PROJECT


class Shell(Desk):
    """A terminal in which variables can say anything."""

    def says(self, *words: str, **environ: str) -> Result:
        """Type `stationmaster WORDS` with these variables."""
        return CliRunner().invoke(cli, words, env=self.env | environ, catch_exceptions=False)

    def submitted(self, **environ: str) -> None:
        """A task that whoever the variables name built and handed off."""
        for words in (
            (*TASK, "--acceptance", "shown", "--test-plan", "look"),
            ("task", "start", "gold-seats"),
            ("task", "handoff", "gold-seats", "--changed", "seats", "--check", "[unit] 3 passed"),
        ):
            result = self.says(*words, **environ)
            assert result.exit_code == 0, result.output


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Nothing is on record."""
    return Shell(tmp_path)


APPROVE = ("task", "review", "gold-seats", "heavy", "approve")


@pytest.mark.parametrize("reviewer", ["Ada", "ada ", " ADA", "a\u200bda", "\u202eada", "ada\t"])
def test_one_name_written_otherwise_is_not_a_second_person_in_a_shell(shell: Shell, reviewer: str) -> None:
    shell.submitted(STATIONMASTER_ACTOR="ada")
    result = shell.says(*APPROVE, STATIONMASTER_ACTOR=reviewer)
    assert (result.exit_code, "a builder never reviews it" in result.output) == (REFUSED, True)


@pytest.mark.parametrize(
    "spoofed", ["USER", "LOGNAME", "LNAME", "USERNAME", "SUDO_USER", "SUDO_UID", "STATIONMASTER_ACTOR"]
)
def test_no_variable_makes_who_built_it_in_the_bare_shell_another_person(shell: Shell, spoofed: str) -> None:
    shell.submitted()
    result = shell.says(*APPROVE, **{spoofed: "12345"})
    assert (result.exit_code, "a builder never reviews it" in result.output) == (REFUSED, True)


def test_a_variable_gives_nobody_the_identity_of_another_face(monkeypatch: pytest.MonkeyPatch) -> None:
    for claimed in ("agent:ada", "discord:1", "os:0", f"os:{os.getuid() + 1}"):
        monkeypatch.setenv("STATIONMASTER_ACTOR", claimed)
        assert re.fullmatch(rf"os:\d+(@[0-9a-f]{{8}})?/{claimed}", actor().id)


@pytest.mark.parametrize("nick", [None, "Olive the operator"])
def test_a_person_in_discord_is_their_number_whatever_the_account_and_the_server_call_them(nick: str | None) -> None:
    def asks(name: str) -> discord.Interaction:
        user = SimpleNamespace(id=42, name=name, nick=nick, display_name=nick or name, mention="<@42>")
        return cast("discord.Interaction", cast("Any", SimpleNamespace(user=user)))

    before, after = actor_of(asks("ada"), {}), actor_of(asks("olive"), {})
    assert (before.id, after.id, after.face) == ("discord:42", "discord:42", Face.DISCORD)
    assert (before.name, after.name) == ("ada", "olive")
    assert actor_of(asks("\u200b\u202e\n"), {}).name == "42"


def test_people_are_listed_linked_and_taken_apart_in_a_shell(shell: Shell) -> None:
    assert "nobody has acted yet" in shell.says("person", "list").output
    assert shell.says(*TASK, STATIONMASTER_ACTOR="ada").exit_code == 0
    assert shell.says("token", "new", "ada-agent", "--role", "agent").exit_code == 0
    [ada] = json.loads(shell.says("person", "list", "--json").stdout)
    assert (ada["name"], ada["face"], ada["same_as"]) == ("ada", "cli", [])
    assert "one person" in shell.says("person", "link", ada["id"], "agent:ada-agent").output
    assert "the same person as agent:ada-agent" in shell.says("person", "list").output
    twice = shell.says("person", "link", "agent:ada-agent", ada["id"])
    assert (twice.exit_code, "are one person already" in twice.output) == (REFUSED, True)
    assert "for what is done from now on" in shell.says("person", "unlink", ada["id"]).output
    assert "the same person" not in shell.says("person", "list").output


async def test_an_operator_links_people_in_discord_and_nobody_else_does(yard: Yard) -> None:
    async with yard.bot():
        both = {"one": f"discord:{yard.ada.id}", "other": f"discord:{yard.rex.id}"}
        assert "only the operator" in await told(yard, "agent", ["person", "link"], both)
        assert "one person" in await told(yard, "operator", ["person", "link"], both)
        assert "are one person already" in await told(yard, "operator", ["person", "link"], both)
        gone = await told(yard, "operator", ["person", "unlink"], {"identity": both["one"]})
        assert both["other"] in gone


_AS_SUDO_DOES = """
import os, sys
_SAY = "import os; from bot.command_line import actor; print(os.getuid(), actor().id)"
os.setresuid(12345, 0, 0)
if not (child := os.fork()):
    os.setresuid(0, 0, 0)
    os.execv(sys.executable, [sys.executable, "-c", _SAY])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become root again")
def test_who_becomes_root_by_sudo_is_still_who_typed_it() -> None:
    environ = {**os.environ, "PYTHONPATH": str(PROJECT), "SUDO_UID": "7", "USER": "zed", "STATIONMASTER_ACTOR": ""}
    argv = [sys.executable, "-c", _AS_SUDO_DOES]
    said = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout
    assert re.fullmatch(r"0 os:12345(@[0-9a-f]{8})?\n", said)
