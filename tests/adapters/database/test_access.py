"""Tokens and answers in the record, on both databases."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from adapters.database.records import Database
from core.access import Answered, Used
from core.errors import Refused
from core.permissions import Role
from core.tokens import new_token
from tests.adapters.database.samples import NOW

TOKEN = new_token("builder-one", [Role.AGENT, Role.REVIEWER], 30, "olive", NOW)
USED = Answered(bearer="builder-one", key="k1", request="a digest", at=NOW)


async def test_a_token_comes_back_by_its_digest_as_it_was_stored_and_as_it_was_changed(database: Database) -> None:
    async with database.transaction() as rows:
        stored = await rows.insert_token(TOKEN, "digest one")
        other = await rows.insert_token(TOKEN, "digest two")
    assert stored == msgspec.structs.replace(TOKEN, id=stored.id)
    revoked = msgspec.structs.replace(stored, revoked_at=NOW, revoked_by="olive")
    async with database.transaction() as rows:
        await rows.update_token(stored, revoked)
    async with database.reading() as rows:
        assert await rows.tokens_of(["digest one", "digest three"]) == {"digest one": revoked}
        assert await rows.tokens() == [other, revoked]


async def test_two_tokens_never_share_a_digest(database: Database) -> None:
    with pytest.raises(Refused):
        async with database.transaction() as rows:
            await rows.insert_token(TOKEN, "the same")
            await rows.insert_token(TOKEN, "the same")


async def test_an_answer_is_kept_by_bearer_and_key_and_forgotten_when_it_is_old(database: Database) -> None:
    given = msgspec.structs.replace(USED, answer=b'{"slug":"a"}')
    other = msgspec.structs.replace(USED, bearer="builder-two", at=NOW + timedelta(days=1))
    async with database.transaction() as rows:
        await rows.put_answered([USED])
        await rows.put_answered([given, other])
    asked = [Used("builder-one", "k1"), Used("builder-one", "k2"), Used("builder-two", "k1")]
    async with database.transaction() as rows:
        assert await rows.answered(asked) == {given.used: given, other.used: other}
        await rows.forget_answered(NOW + timedelta(hours=1))
        assert await rows.answered(asked) == {other.used: other}
        await rows.drop_answered(other.used)
        assert await rows.answered(asked) == {}
        await rows.put_answered([])


async def test_the_last_event_of_an_empty_record_is_none(database: Database) -> None:
    async with database.reading() as rows:
        assert await rows.last_event() == 0
