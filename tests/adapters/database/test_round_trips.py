"""What goes into the record comes out equal, whatever it is, and an update touches nothing but what differs."""

from __future__ import annotations

import itertools
from datetime import UTC, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.database.records import Database
from core.builds import Build, Declared, Required
from core.errors import Reason, Refused
from core.events import Event, EventKind
from core.handoffs import Check
from core.journal import Entry, EntryState, Evidence, PageCheck, RunState, SealRecord, SealStatus
from core.registry import Sha
from core.releases import Artefact, Frozen, ReleaseState
from core.sizing import Size
from core.tasks import Move, Stage, TaskQuery, TaskType, Work
from tests.adapters.database.samples import NOW, a_release, a_ship, a_task

allowed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
some = settings(max_examples=15, deadline=None, suppress_health_check=allowed)
numbers = itertools.count()

# PostgreSQL stores every character but NUL; half a surrogate pair is no character.
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
filled = text.filter(str.strip)
names = st.lists(text, max_size=4).map(tuple)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5.5))])
times = st.datetimes(NOW.replace(year=1970, tzinfo=None), NOW.replace(year=9000, tzinfo=None), timezones=zones)
finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | text
facts = st.dictionaries(text, values, max_size=5)
reasons = st.lists(st.builds(Reason, text, text, text), max_size=3).map(tuple)
small = st.integers(0, 2**31 - 1)
big = st.integers(0, 2**63 - 1)


def unique(kind: st.SearchStrategy[Work] | st.SearchStrategy[Frozen]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(kind, max_size=4, unique_by=lambda one: one.repository).map(tuple)


tasks = st.fixed_dictionaries(
    {
        "title": text, "type": st.sampled_from(TaskType), "shape": text, "stage": st.sampled_from(Stage),
        "works": unique(st.builds(Work, text, text)), "risk_tags": names,
        "worktree": text, "local_url": text, "qa_url": text, "production_url": text, "acceptance_criteria": text,
        "test_plan": text, "agent_context": text, "post_deploy_cmd": text, "builder": text,
        "release": st.sampled_from([None, "r1"]), "depends_on": st.sampled_from([(), ("a",), ("b", "a")]),
        "created_at": times, "started_at": st.none() | times, "completed_at": st.none() | times,
        "actual": st.none() | st.sampled_from(Size),
    }
)  # fmt: skip
artefacts = st.lists(st.builds(Artefact, text, text, big), max_size=3).map(tuple)
freezes = st.builds(
    Frozen, repository=text, sha=filled.map(Sha), version=st.none() | text, artefacts=artefacts, requires=names,
    by_reference=names, ranges=st.dictionaries(text, names, max_size=3),
)  # fmt: skip
builds = st.builds(
    Build, repository=text, commit=filled.map(Sha), ecosystem=text, distribution=text, artefacts=artefacts, at=times,
    declared=st.builds(
        Declared, name=text, version=text, requires=st.lists(st.builds(Required, text, text), max_size=3).map(tuple)
    ),
)  # fmt: skip
releases = st.fixed_dictionaries(
    {
        "state": st.sampled_from([ReleaseState.SHIPPED, ReleaseState.ABANDONED]), "revision": small, "notes": text,
        "members": st.sampled_from([(), ("a",), ("b", "a")]), "frozen": unique(freezes),
        "assembled_at": st.none() | times, "closed_at": st.none() | times,
    }
)  # fmt: skip
ships = st.fixed_dictionaries(
    {
        "plan": st.binary(), "plan_digest": text, "digest": text, "attempt": small, "confirmed_by": text,
        "state": st.sampled_from([state for state in RunState if state is not RunState.RUNNING]),
        "confirmed_at": times, "mention": text, "origin": text, "reasons": reasons, "ended_at": st.none() | times,
    }
)  # fmt: skip
entries = st.builds(
    Entry, release=st.just("r1"), key=text, step=text, state=st.sampled_from(EntryState), attempt=small,
    started_at=times, ended_at=st.none() | times, adopted=st.booleans(), facts=facts, reasons=reasons, log=text,
)  # fmt: skip
seals = st.builds(
    SealRecord, app=text, status=st.sampled_from(SealStatus), summary=text, checked_at=times, release=text,
    checks=st.lists(st.builds(PageCheck, text, st.booleans(), text), max_size=3).map(tuple), rollback=names,
)  # fmt: skip
gates = st.builds(
    Evidence, repository=text, commit=filled.map(Sha), argv=names, green=st.booleans(), at=times
)  # fmt: skip
events = st.builds(
    Event, kind=st.sampled_from(EventKind), release=text, at=times, actor=text, step=text,
    facts=st.dictionaries(text, values | st.lists(text, max_size=3), max_size=4),
)  # fmt: skip
moves = st.fixed_dictionaries(
    {
        "to": st.sampled_from(Stage), "actor": text, "source": text, "at": times, "seconds": st.none() | finite,
        "reason": text, "model": st.none() | text, "tokens": st.none() | big, "cost_usd": st.none() | finite,
    }
)  # fmt: skip


@pytest.fixture
async def board(database: Database) -> Database:
    """A board with tasks a and b and an open release r1."""
    async with database.transaction() as rows:
        await rows.insert_task(a_task("a"))
        await rows.insert_task(a_task("b"))
        await rows.insert_release(a_release("r1"))
    return database


@some
@given(before=tasks, after=tasks)
async def test_a_task_comes_back_as_it_was_stored_and_as_it_was_changed(
    board: Database, before: dict[str, Any], after: dict[str, Any]
) -> None:
    slug = f"t{next(numbers)}"
    async with board.transaction() as rows:
        await rows.insert_task(a_task(slug, **before))
        assert await rows.task(slug) == a_task(slug, **before)
        changed = await rows.update_task(a_task(slug, **before), a_task(slug, **after))
    async with board.reading() as rows:
        assert await rows.task(slug) == changed == a_task(slug, **after, revision=1)


@some
@given(before=releases, after=releases)
async def test_a_release_comes_back_as_it_was_stored_and_as_it_was_changed(
    board: Database, before: dict[str, Any], after: dict[str, Any]
) -> None:
    slug = f"old{next(numbers)}"
    async with board.transaction() as rows:
        await rows.insert_release(a_release(slug, **before))
        assert await rows.release(slug) == a_release(slug, **before)
        await rows.update_release(a_release(slug, **before), a_release(slug, **after))
    async with board.reading() as rows:
        assert await rows.release(slug) == a_release(slug, **after)


@some
@given(before=ships, after=ships)
async def test_a_ship_comes_back_as_it_was_stored_and_as_it_was_changed(
    board: Database, before: dict[str, Any], after: dict[str, Any]
) -> None:
    async with board.transaction() as rows:
        stored = await rows.insert_run(a_ship(**before))
        assert await rows.run(stored.id) == a_ship(**before, id=stored.id) == await rows.latest_run("r1")
        await rows.update_run(stored, a_ship(**after, id=stored.id))
    async with board.reading() as rows:
        assert await rows.run(stored.id) == a_ship(**after, id=stored.id)


@some
@given(entry=entries, seal=seals, gate=gates, event=events, name=text, value=text)
async def test_journal_seals_evidence_events_and_settings_come_back_as_they_were_stored(
    board: Database, entry: Entry, seal: SealRecord, gate: Evidence, event: Event, name: str, value: str
) -> None:
    async with board.transaction() as rows:
        await rows.put_entry(msgspec.structs.replace(entry, state=EntryState.STARTED, facts={}))
        await rows.put_entry(entry)
        await rows.add_seal(seal)
        await rows.add_evidence(gate)
        await rows.put_setting(name, "before")
        await rows.put_setting(name, value)
        await rows.append_event(event)
        newest = await rows.last_event()
    async with board.reading() as rows:
        assert (await rows.entries("r1"))[entry.key] == entry
        assert (await rows.seals(seal.release))[-1] == seal
        assert await rows.evidence(gate.repository, gate.commit, gate.argv) == gate
        assert await rows.evidence(gate.repository, gate.commit, (*gate.argv, "--other")) is None
        assert await rows.events(after=newest - 1) == [msgspec.structs.replace(event, id=newest)]
        assert await rows.setting(name) == value


@some
@given(rest=st.lists(moves, min_size=1, max_size=4))
async def test_a_timeline_comes_back_row_by_row(board: Database, rest: list[dict[str, Any]]) -> None:
    slug, origin, timeline = f"t{next(numbers)}", None, list[Move]()
    for fields in rest:
        timeline.append(msgspec.convert({**fields, "task": slug, "origin": origin}, Move))
        origin = timeline[-1].to
    async with board.transaction() as rows:
        await rows.insert_task(a_task(slug))
        for move in timeline:
            await rows.append_move(move)
    async with board.reading() as rows:
        assert await rows.moves(slug) == timeline


async def test_a_partial_update_erases_no_sibling_field(board: Database) -> None:
    async with board.transaction() as rows:
        before = await rows.task("a")
        assert before
        titled = msgspec.structs.replace(before, title="new", works=(Work("hub", "new"),))
        once = await rows.update_task(before, titled)
        await rows.update_task(once, msgspec.structs.replace(once, qa_url="https://qa", depends_on=("b",)))
        after = await rows.task("a")
    assert after == msgspec.structs.replace(titled, qa_url="https://qa", depends_on=("b",), revision=2)


async def test_who_saw_an_older_revision_of_a_task_overwrites_nothing(board: Database) -> None:
    """L29: two read, both wrote, and one of the writes was lost."""
    async with board.transaction() as rows:
        seen = await rows.task("a")
        assert seen
        await rows.update_task(seen, msgspec.structs.replace(seen, title="first"))
        with pytest.raises(Refused, match="a has changed since you looked"):
            await rows.update_task(seen, msgspec.structs.replace(seen, test_plan="second"))
        after = await rows.task("a")
    assert after == msgspec.structs.replace(seen, title="first", revision=1)


async def test_a_timeline_with_a_gap_is_refused(board: Database) -> None:
    def move(origin: Stage | None, to: Stage) -> Move:
        return Move(task="a", origin=origin, to=to, actor="ada", source="cli", at=NOW)

    async with board.transaction() as rows:
        with pytest.raises(Refused, match="ends at nothing"):
            await rows.append_move(move(Stage.DESIGNED, Stage.BUILDING))
        await rows.append_move(move(None, Stage.DESIGNED))
        with pytest.raises(Refused, match="ends at designed"):
            await rows.append_move(move(Stage.BUILDING, Stage.SUBMITTED))
        with pytest.raises(Refused, match="ends at designed"):
            await rows.append_move(move(None, Stage.DESIGNED))


async def test_the_newest_tasks_and_releases_come_first_and_all_of_them_when_no_limit_is_given(board: Database) -> None:
    async with board.transaction() as rows:
        for number in range(30):
            await rows.insert_task(a_task(f"t{number}", stage=Stage.BLOCKED, depends_on=("a",)))
        await rows.insert_release(a_release("r0", state=ReleaseState.SHIPPED))
    async with board.reading() as rows:
        assert [task.slug for task in await rows.tasks(TaskQuery(limit=2))] == ["t29", "t28"]
        assert [task.slug for task in await rows.tasks(TaskQuery(stage=Stage.REVIEWED))] == ["b", "a"]
        those = TaskQuery(stage=Stage.BLOCKED, limit=None)
        blocked = await rows.tasks(those)
        assert len(blocked) == await rows.count_tasks(those) == 30
        assert {task.depends_on for task in blocked} == {("a",)}
        assert (await rows.count_tasks(TaskQuery()), len(await rows.tasks(TaskQuery(limit=None)))) == (32, 32)
        assert [release.slug for release in await rows.releases()] == ["r0", "r1"]
        assert [release.slug for release in await rows.releases(limit=1)] == ["r0"]
        active = await rows.active_release()
        assert active and active.slug == "r1"


async def test_a_chain_of_dependencies_is_read_in_one_look_and_only_that_one(board: Database) -> None:
    async with board.transaction() as rows:
        for number in range(300):
            needs = (f"t{number - 1}", "a") if number else ("b",)
            await rows.insert_task(a_task(f"t{number}", depends_on=needs))
        before = await rows.task("b")
        assert before
        await rows.update_task(before, msgspec.structs.replace(before, depends_on=("t9",)))
        needs = await rows.needs("t200")
    assert list(needs["t200"]) == ["t199", "a"]
    assert sorted(needs) == sorted(["b", *(f"t{number}" for number in range(201))]), "also where they go in a circle"


async def test_the_newest_verdict_of_a_gate_counts(board: Database) -> None:
    async with board.transaction() as rows:
        for green in (False, True):
            gate = Evidence(repository="hub", commit=Sha("c0ffee"), argv=("make", "test"), green=green, at=NOW)
            await rows.add_evidence(gate)
        newest = await rows.evidence("hub", Sha("c0ffee"), ("make", "test"))
    assert newest and newest.green


@some
@given(first=builds, second=builds)
async def test_every_build_of_a_repository_comes_back_newest_first(
    board: Database, first: Build, second: Build
) -> None:
    name = f"package-{next(numbers)}"
    stored = [msgspec.structs.replace(one, repository=name) for one in (first, second)]
    async with board.transaction() as rows:
        for one in stored:
            await rows.add_build(one)
    async with board.reading() as rows:
        assert await rows.builds(name) == stored[::-1]
        assert await rows.builds("another") == []


async def test_checks_run_are_lines_in_the_order_they_came(board: Database) -> None:
    async with board.transaction() as rows:
        await rows.add_check("a", "[gate] green", commit=Sha("c0ffee"), at=NOW, by="engine", machine=True)
        await rows.add_check("a", "[e2e] green", commit=None, at=NOW, by="ada")
    async with board.reading() as rows:
        assert await rows.checks("a") == [
            Check(text="[gate] green", commit=Sha("c0ffee"), at=NOW, by="engine", machine=True),
            Check(text="[e2e] green", at=NOW, by="ada"),
        ]
        assert await rows.checks("b") == []
