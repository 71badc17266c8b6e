"""The tables that the migration makes are those of tables.py, forth and back, and their indices really refuse."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import cast

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from adapters.database.connections import new_engine
from adapters.database.records import Database, newest_revision
from adapters.database.tables import metadata, releases, runs
from core.access import Used
from core.errors import Refused
from core.journal import RunState
from core.permissions import Face
from core.releases import ReleaseState
from core.sizing import Bid, Bidder, Size
from tests.adapters.database.samples import a_release, a_ship, another_process, says, tell


def differences(connection: sa.Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def tables(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())


def schema(connection: sa.Connection) -> dict[str, object]:
    """What the database knows of each table, but for the order of its columns and the defaults of added ones."""
    inspector = sa.inspect(connection)
    looks = (
        inspector.get_columns,
        inspector.get_indexes,
        inspector.get_foreign_keys,
        inspector.get_check_constraints,
        inspector.get_unique_constraints,
    )
    return {
        name: [inspector.get_pk_constraint(name)["constrained_columns"]]
        + [sorted(spelled({**one, "default": None}) for one in look(name)) for look in looks]
        for name in inspector.get_table_names()
    }


def spelled(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    return str(sorted((key, spelled(it)) for key, it in cast("dict[str, object]", value).items()))


async def test_up_and_down_and_up_again_leaves_nothing_different(database: Database, url: str) -> None:
    engine = new_engine(url)
    await database.downgrade("base")
    async with engine.connect() as connection:
        assert await connection.run_sync(tables) == {"alembic_version"}
    await database.upgrade()
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(tables) == {*metadata.tables, "alembic_version"}
    await engine.dispose()


async def test_tables_made_at_once_are_those_that_all_the_migrations_leave(database: Database, url: str) -> None:
    engine = new_engine(url)
    async with engine.connect() as connection:
        at_once = await connection.run_sync(schema)
    await database.downgrade("base")
    await database.upgrade()
    async with engine.connect() as connection:
        migrated = await connection.run_sync(schema)
    await engine.dispose()
    assert migrated == at_once


async def test_two_processes_bring_an_empty_database_up_to_date_at_once(url: str) -> None:
    async with another_process(url, "open", "r1") as one, another_process(url, "open", "r2") as two:
        assert (await says(one), await says(two)) == ("ready", "ready")
        await asyncio.gather(tell(one), tell(two))
        answers = sorted([await says(one), await says(two)])
    assert answers[0] == "opened"
    assert answers[1].startswith(("refused: r1 is open", "refused: r2 is open"))


async def test_tables_that_are_up_to_date_start_no_migration(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (engine := new_engine(url)).connect() as connection:
        head = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    await engine.dispose()
    assert newest_revision() == head
    monkeypatch.setitem(sys.modules, "alembic", None)
    await database.upgrade()


async def test_tables_of_a_newer_version_are_refused(database: Database, url: str) -> None:
    engine = new_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = 'from the future'"))
    await engine.dispose()
    with pytest.raises(Refused, match="not of this version"):
        await database.upgrade()


@pytest.mark.parametrize("state", [ReleaseState.ASSEMBLING, ReleaseState.ASSEMBLED])
async def test_the_index_itself_lets_one_release_be_active(database: Database, url: str, state: ReleaseState) -> None:
    async with database.transaction() as rows:
        await rows.insert_release(a_release("shipped", state=ReleaseState.SHIPPED))
        await rows.insert_release(a_release("dropped", state=ReleaseState.ABANDONED))
        await rows.insert_release(a_release("first"))
    await _refuses(url, sa.update(releases).where(releases.c.slug == "shipped").values(state=state))


async def test_the_index_itself_lets_one_ship_run_of_all_releases(database: Database, url: str) -> None:
    async with database.transaction() as rows:
        await rows.insert_release(a_release("old", state=ReleaseState.SHIPPED))
        await rows.insert_release(a_release("new"))
        stopped = await rows.insert_run(a_ship("old", state=RunState.STOPPED))
        await rows.insert_run(a_ship("new"))
    await _refuses(url, sa.update(runs).where(runs.c.id == stopped.id).values(state=RunState.RUNNING))


async def _refuses(url: str, statement: sa.Update) -> None:
    engine = new_engine(url)
    with pytest.raises(IntegrityError):
        async with engine.begin() as connection:
            await connection.execute(statement)
    await engine.dispose()


async def test_what_was_recorded_by_name_is_nobodys_identity_and_comes_back_by_name(
    database: Database, url: str
) -> None:
    engine = new_engine(url)
    await database.downgrade("0005")
    async with engine.begin() as connection:
        for statement in _BY_NAME:
            await connection.execute(sa.text(statement))
    await database.upgrade()
    async with database.reading() as tx:
        task, sizing = await tx.task("pay"), await tx.sizing("pay", "name:ada")
        kept = await tx.answered([Used("agent:ada", "k")])
        people = await tx.identities()
    assert task
    assert (task.builder, task.builder_id) == ("ada", "name:ada")
    assert {(bid.by_id, bid.size) for bid in sizing.bids} == {("name:ada", None), ("name:Ada", None)}
    assert len(kept) == 1
    assert {(one.id, one.face) for one in people} == {("name:ada", None), ("engine", Face.ENGINE)}
    async with database.transaction() as tx:
        at = datetime(2026, 1, 2, tzinfo=UTC)
        await tx.put_bid(Bid(task="pay", bidder=Bidder.DEV, size=Size.S, by="ada", by_id="discord:1", at=at))
    await database.downgrade("0005")
    async with engine.connect() as connection:
        names = (await connection.execute(sa.text('SELECT "by" FROM bids'))).scalars().all()
        bearers = (await connection.execute(sa.text("SELECT bearer FROM answered"))).scalars().all()
    await engine.dispose()
    assert "Ada" in names
    assert len(set(names)) == 3
    assert bearers == ["ada"]


_AT = "'2026-01-01 00:00:00+00:00'"
_BLANK = "'', '', '', '', '', '', ''"
_BY_NAME = (
    "INSERT INTO tasks (slug, type, stage, title, shape, worktree, local_url, qa_url, production_url, "
    "acceptance_criteria, test_plan, agent_context, post_deploy_cmd, builder, risk_tags, created_at, revision) "
    f"VALUES ('pay', 'bug', 'building', 'Pay', 'ui', {_BLANK}, '', 'ada', '[]', {_AT}, 0)",
    f"INSERT INTO bids (task, bidder, size, \"by\", at) VALUES ('pay', 'PM', 'S', 'ada', {_AT})",
    f"INSERT INTO bids (task, bidder, size, \"by\", at) VALUES ('pay', 'PO', 'L', 'Ada', {_AT})",
    f"INSERT INTO answered (bearer, key, request, at) VALUES ('ada', 'k', 'digest', {_AT})",
    "INSERT INTO events (kind, release, task, actor, step, at, facts) "
    f"VALUES ('task created', '', 'pay', 'ada', '', {_AT}, '{{}}')",
    "INSERT INTO events (kind, release, task, actor, step, at, facts) "
    f"VALUES ('run finished', 'r1', '', 'stationmaster', '', {_AT}, '{{}}')",
)
