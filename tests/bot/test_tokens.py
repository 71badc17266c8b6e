"""Tokens of the API as operators handle them: in Discord and at the command line."""

from __future__ import annotations

from pathlib import Path

from tests.bot.conftest import Yard
from tests.bot.conftest import refused as told
from tests.bot.test_cli import REFUSED, Desk


async def test_an_operator_makes_lists_and_revokes_tokens_and_nobody_else_sees_it(yard: Yard) -> None:
    async with yard.bot():
        new = {"name": "builder-one", "roles": "agent reviewer", "days": 30}
        assert "only the operator" in await told(yard, "agent", ["token", "new"], new)
        assert "a-secret-for-once" in await told(yard, "operator", ["token", "new"], new)
        listed = str(await yard.olive.command(["token", "list"]))
        assert "builder-one" in listed and "a-secret-for-once" not in listed
        assert "unknown role" in await told(yard, "operator", ["token", "new"], {"name": "x", "roles": "agnet"})
        assert "token 1 of builder-one is revoked" in await told(yard, "operator", ["token", "revoke"], {"number": 1})
        assert "revoked" in str(await yard.olive.command(["token", "list"]))
        assert not [each for each in yard.channel() if "a-secret-for-once" in str(each)]


def test_a_token_is_made_listed_and_revoked_in_a_shell(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert "no token was made" in desk.done("token", "list")
    secret, about = desk.done("token", "new", "builder-one", "--role", "agent", "--days", "30").splitlines()
    assert secret.startswith("stationmaster_") and "builder-one (agent), until" in about
    assert secret not in desk.done("token", "list")
    assert "token 1 of builder-one is revoked" in desk.done("token", "revoke", "1")
    assert "revoked by" in desk.done("token", "list")


def test_a_token_with_an_unknown_role_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    result = Desk(tmp_path).type("token", "new", "x", "--role", "agnet")
    assert result.exit_code == REFUSED
    assert "did you mean agent?" in result.output
