"""Tokens: who may make them, what is stored of them, and when they are worth nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from core.doorkeeper import Doorkeeper, tokens_behind
from core.errors import Forbidden, NotFound, Refused
from core.permissions import Actor, Face, Role
from tests.world.toy import World
from tests.world.toy_ports import toy_ports
from tests.world.toy_record import database_in, record_in
from tests.world.toy_train import ADA, OLIVE

SECRETS = ("first-secret", "second-secret")


@pytest.fixture
def world() -> World:
    return World()


class Door(Doorkeeper):
    """One to whom secrets are shown."""

    async def shown(self, secret: str) -> Actor:
        async with self._records.reading() as tx:
            [token] = await tokens_behind(tx, [secret])
        return self.admit(token)


@pytest.fixture
async def doorkeeper(world: World, tmp_path: Path) -> AsyncGenerator[Door]:
    database = database_in(tmp_path)
    await database.open()
    await database.upgrade()
    yield Door(toy_ports(world, database, tmp_path), iter(SECRETS).__next__)
    await database.close()


async def test_who_shows_a_token_speaks_under_its_name_with_its_roles(doorkeeper: Door) -> None:
    issued = await doorkeeper.issue(OLIVE, "builder-one", [Role.AGENT])
    actor = await doorkeeper.shown(issued.secret)
    assert (actor.name, actor.roles, actor.face) == ("builder-one", frozenset({Role.AGENT}), Face.API)


async def test_only_an_operator_makes_lists_and_revokes_tokens(doorkeeper: Door) -> None:
    for asked in (doorkeeper.issue(ADA, "x", [Role.OPERATOR]), doorkeeper.tokens(ADA), doorkeeper.revoke(ADA, 1)):
        with pytest.raises(Forbidden, match="only the operator role may"):
            await asked


async def test_a_revoked_token_is_worth_nothing_from_that_moment_on_and_its_neighbour_lives(
    doorkeeper: Door,
) -> None:
    gone = await doorkeeper.issue(OLIVE, "builder-one", [Role.AGENT])
    kept = await doorkeeper.issue(OLIVE, "builder-one", [Role.AGENT])
    await doorkeeper.revoke(OLIVE, gone.token.id)
    with pytest.raises(Refused, match="is revoked"):
        await doorkeeper.shown(gone.secret)
    assert (await doorkeeper.shown(kept.secret)).name == "builder-one"
    assert (await doorkeeper.revoke(OLIVE, gone.token.id)).revoked_by == OLIVE.name


async def test_a_token_ends_by_itself_when_it_was_given_an_end(doorkeeper: Door, world: World) -> None:
    issued = await doorkeeper.issue(OLIVE, "builder-one", [Role.AGENT], days=1)
    world.now += timedelta(hours=23)
    assert (await doorkeeper.shown(issued.secret)).name == "builder-one"
    world.now += timedelta(hours=2)
    with pytest.raises(Refused, match="has expired"):
        await doorkeeper.shown(issued.secret)


async def test_a_stolen_database_holds_no_secret(doorkeeper: Door, tmp_path: Path) -> None:
    issued = await doorkeeper.issue(OLIVE, "builder-one", [Role.AGENT])
    stored = b"".join(path.read_bytes() for path in tmp_path.glob(record_in(tmp_path).name + "*"))
    assert b"builder-one" in stored
    assert issued.secret.encode() not in stored


@pytest.mark.parametrize("name", ["ada.l", "_ada_", "ada-1"])
async def test_a_token_speaks_as_the_very_person_of_discord(doorkeeper: Door, name: str) -> None:
    """Spec 2.5: a builder with another name on each face could review what they built."""
    issued = await doorkeeper.issue(OLIVE, name, [Role.AGENT])
    assert (await doorkeeper.shown(issued.secret)).name == name


async def test_everything_that_is_wrong_with_a_new_token_is_said_at_once(doorkeeper: Door) -> None:
    with pytest.raises(Refused) as refusal:
        await doorkeeper.issue(OLIVE, "No Slug", [], days=0)
    assert [reason.what.partition(" ")[0] for reason in refusal.value.reasons] == ["'No", "a", "a"]


async def test_an_unknown_secret_or_number_is_nobodys(doorkeeper: Door) -> None:
    with pytest.raises(Refused, match="not known"):
        await doorkeeper.shown("made-up")
    with pytest.raises(NotFound, match="unknown token 7"):
        await doorkeeper.revoke(OLIVE, 7)
