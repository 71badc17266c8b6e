"""Tasks and their moves (spec 2): every pair of stages either moves or says what is legal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations, product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.edits import TaskChanges, edited, edits, require_unchanged
from core.errors import Refused
from core.permissions import Actor, Face, Role
from core.tasks import (
    MOVES,
    BoardMove,
    Move,
    Reported,
    Stage,
    Task,
    TrainMove,
    Work,
    legal_moves,
    move,
    new_task,
    post_deploy_argv,
)
from tests.world.toy_train import draft, registry

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SHAPES = frozenset({"toy", "endpoint"})
ROLES = [frozenset(roles) for size in range(4) for roles in combinations(Role, size)]
PAIRS = list(product(Stage, Stage))
WAYS = [None, *TrainMove, *BoardMove]


def actor(*roles: Role) -> Actor:
    return Actor("test:ada", "ada", frozenset(roles), Face.CLI)


def at(stage: Stage) -> Task:
    return msgspec.structs.replace(draft("pay", "money"), stage=stage)


def problems(task: Task) -> list[str]:
    """What `new_task` says of a draft."""
    with pytest.raises(Refused) as refusal:
        new_task(task, registry(), SHAPES)
    return [reason.what for reason in refusal.value.reasons]


# ── moves ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("origin", "to"), PAIRS)
def test_every_pair_of_stages_moves_for_who_may_or_names_the_legal_moves(origin: Stage, to: Stage) -> None:
    """Spec 2.2, over every set of roles and every way in which the train and the board make moves."""
    mover = MOVES.get((origin, to))
    for roles, by in product(ROLES, WAYS):
        allowed = mover is not None and by is mover.by and bool(not mover.roles or mover.roles & roles)
        try:
            changed, row = move(at(origin), to, actor(*roles), NOW, NOW, by=by, reason="because")
        except Refused as refusal:
            assert not allowed
            for reason in refusal.reasons:
                assert reason.why == f"it is {origin}"
                assert reason.next == f"legal from here: {', '.join(legal_moves(origin)) or 'none'}"
        else:
            assert allowed
            assert (changed.stage, row.origin, row.to) == (to, origin, to)


def test_a_refused_move_says_all_that_is_missing() -> None:
    with pytest.raises(Refused) as refusal:
        move(at(Stage.BUILDING), Stage.SUBMITTED, actor(Role.OPERATOR), NOW, NOW)
    assert [reason.what for reason in refusal.value.reasons] == [
        "pay goes to submitted only by task handoff",
        "only agent may move pay to submitted",
    ]
    with pytest.raises(Refused) as refusal:
        move(at(Stage.BUILDING), Stage.BLOCKED, actor(Role.OPERATOR), NOW, NOW)
    assert [reason.what for reason in refusal.value.reasons] == [
        "only agent or reviewer may move pay to blocked",
        "pay needs a reason to be blocked",
    ]


def test_the_moves_are_those_of_the_table_and_no_other() -> None:
    """Spec 2.2."""
    assert {f"{origin}→{to}" for origin, to in MOVES} == {
        *("designed→building", "building→submitted", "submitted→reviewed", "building→blocked", "submitted→blocked"),
        *("blocked→building", "reviewed→assembled", "assembled→reviewed", "assembled→shipped", "shipped→archived"),
    }


@pytest.mark.parametrize("to", [Stage.ASSEMBLED, Stage.REVIEWED, Stage.SHIPPED])
def test_nobody_makes_a_move_of_the_train(to: Stage) -> None:
    origin = Stage.REVIEWED if to is Stage.ASSEMBLED else Stage.ASSEMBLED
    with pytest.raises(Refused, match="of a release"):
        move(at(origin), to, actor(*Role), NOW, NOW)


@pytest.mark.parametrize("origin", [Stage.BUILDING, Stage.SUBMITTED])
@pytest.mark.parametrize("reason", ["", " ", "\n\t"])
def test_blocking_needs_a_reason(origin: Stage, reason: str) -> None:
    with pytest.raises(Refused, match="needs a reason"):
        move(at(origin), Stage.BLOCKED, actor(Role.AGENT), NOW, NOW, reason=reason)


@given(st.lists(st.tuples(st.sampled_from(Stage), st.sampled_from(WAYS)), max_size=30))
def test_a_timeline_is_contiguous_whatever_was_tried(tried: list[tuple[Stage, TrainMove | BoardMove | None]]) -> None:
    """Spec 2.3: each *from* is the previous *to*, and the times add up."""
    task, since, rows = draft("pay", "money"), NOW, list[Move]()
    for number, (to, by) in enumerate(tried):
        moment = NOW + timedelta(minutes=number)
        try:
            task, row = move(task, to, actor(*Role), moment, since, by=by, reason="because")
        except Refused:
            continue
        rows.append(row)
        since = moment
    stages = [Stage.DESIGNED, *(row.to for row in rows)]
    assert [row.origin for row in rows] == stages[:-1]
    assert task.stage is stages[-1]
    assert sum(row.seconds or 0 for row in rows) == (since - NOW).total_seconds()


def test_the_first_builder_stays_the_builder_and_the_start_the_start() -> None:
    started, _ = move(at(Stage.DESIGNED), Stage.BUILDING, actor(Role.AGENT), NOW, NOW)
    blocked, _ = move(started, Stage.BLOCKED, actor(Role.AGENT), NOW, NOW, reason="waiting")
    other = Actor("test:bob", "bob", frozenset({Role.AGENT}), Face.API)
    again, row = move(blocked, Stage.BUILDING, other, NOW + timedelta(hours=1), NOW)
    assert (again.builder, again.started_at) == ("ada", NOW)
    assert (row.actor, row.source, row.seconds) == ("bob", "api", 3600)
    assert (row.model, row.tokens, row.cost_usd) == (None, None, None), "what nobody reported is not zero"
    told = Reported("opus", 1200, 0.0)
    _, row = move(again, Stage.SUBMITTED, other, NOW, NOW, by=BoardMove.HANDOFF, reported=told)
    assert (row.model, row.tokens, row.cost_usd) == ("opus", 1200, 0.0), "and a reported zero is one"


# ── edits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_problems_of_an_edit_come_at_once() -> None:
    wanted = TaskChanges(title=" ", shape="tpy", works=(Work("mony", "a"),), post_deploy_cmd="rake 'x")
    with pytest.raises(Refused) as refusal:
        edited(at(Stage.REVIEWED), wanted, registry(), SHAPES)
    assert [reason.what for reason in refusal.value.reasons] == [
        *("shape of pay is fixed", "works of pay is fixed", "post_deploy_cmd of pay is fixed"),
        *("a task needs a title", "unknown shape 'tpy'", "unknown repository 'mony'"),
        'malformed command: "rake \'x"',
    ]


@pytest.mark.parametrize("stage", Stage)
def test_what_was_handed_off_is_what_ships(stage: Stage) -> None:
    """L23: work that nobody reviewed could ride."""
    wanted = TaskChanges(works=(Work("money", "feat/other"),))
    if stage in (Stage.DESIGNED, Stage.BUILDING, Stage.BLOCKED):
        assert edited(at(stage), wanted, registry(), SHAPES).works == wanted.works
    else:
        with pytest.raises(Refused, match="works of pay is fixed"):
            edited(at(stage), wanted, registry(), SHAPES)
    assert edited(at(stage), TaskChanges(qa_url="https://qa"), registry(), SHAPES).qa_url == "https://qa"


def test_a_field_that_somebody_else_changed_is_refused_with_old_and_new() -> None:
    """L29: a later save erased what was written between."""
    before = at(Stage.BUILDING)
    theirs = edited(before, TaskChanges(title="Theirs", test_plan="ours"), registry(), SHAPES)
    since = edits(before, theirs, "bob", NOW)
    require_unchanged(theirs, TaskChanges(agent_context="mine", test_plan="ours"), since)
    with pytest.raises(Refused) as refusal:
        require_unchanged(theirs, TaskChanges(title="Mine", agent_context="mine"), since)
    [reason] = refusal.value.reasons
    assert reason.what == "title of pay has changed since you looked"
    assert reason.why == "bob made it 'Theirs', you saw 'Task pay'"


# ── drafts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_draft_gets_its_slug_from_its_title() -> None:
    found = new_task(
        msgspec.structs.replace(draft("pay", "money"), slug="", title="  Pay\n with   crowns "), registry(), SHAPES
    )
    assert (found.slug, found.title) == ("pay-with-crowns", "Pay with crowns")


def test_all_problems_of_a_draft_come_at_once() -> None:
    bad = msgspec.structs.replace(
        draft("Not A Slug"),
        title="x" * 5000,
        shape="endpoit",
        works=(Work("mony", "feat/x"), Work("hub", "--upload-pack=evil"), Work("turf", "a"), Work("turf", "b")),
        post_deploy_cmd="rake 'seed",
    )
    assert problems(bad) == [
        "the title has 5000 characters",
        "unknown shape 'endpoit'",
        "turf is named twice",
        "unknown repository 'mony'",
        "'--upload-pack=evil' is no branch name",
        'malformed command: "rake \'seed"',
        "'Not A Slug' is no slug",
    ]


@pytest.mark.parametrize("branch", ["release", "main"])
def test_the_branches_of_the_train_are_no_tasks_work(branch: str) -> None:
    """Nothing would be merged, and whatever nobody owns on the release branch would count as this task's (L30)."""
    of_the_train = (Work("money", branch),)
    assert problems(msgspec.structs.replace(draft("pay"), works=of_the_train)) == [
        f"{branch} of money is no task's branch"
    ]
    with pytest.raises(Refused, match="no task's branch"):
        edited(at(Stage.BUILDING), TaskChanges(works=of_the_train), registry(), SHAPES)


def test_a_dependency_that_is_named_twice_is_one() -> None:
    needs = msgspec.structs.replace(draft("pay", "money"), depends_on=("fees", "seats", "fees"))
    assert new_task(needs, registry(), SHAPES).depends_on == ("fees", "seats")


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(Refused) as refusal:
        new_task(msgspec.structs.replace(draft("pay", "mony"), shape="endpoit"), registry(), SHAPES)
    assert [reason.next for reason in refusal.value.reasons] == ["did you mean endpoint?", "did you mean money?"]


def test_an_empty_draft_says_what_a_task_needs() -> None:
    empty = msgspec.structs.replace(draft(""), title=" ", shape="")
    assert problems(empty) == ["a task needs a title", "unknown shape ''", "a task names at least one repository"]


@pytest.mark.parametrize("title", ["@everyone look", "`rm -rf /`", "**bold** <@123> ||spoiler||", "x" * 200])
def test_a_title_may_say_anything_that_fits(title: str) -> None:
    """L50: what it may do to a channel is the faces' business, and they escape it."""
    assert new_task(msgspec.structs.replace(draft("pay", "money"), title=title), registry(), SHAPES).title == title


def test_a_title_without_a_letter_keeps_it_and_gets_a_numbered_slug() -> None:
    wave = msgspec.structs.replace(draft("pay", "money"), slug="", title="～～")
    task = new_task(wave, registry(), SHAPES)
    assert (task.title, task.slug[:5]) == ("～～", "task-")


# ── post-deploy commands ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["", " ", "\n", "none", "None", " NONE "])
def test_blank_or_none_means_no_command(text: str) -> None:
    """Spec 7.5."""
    assert post_deploy_argv(text) is None


def test_a_command_is_split_like_a_shell_would() -> None:
    assert post_deploy_argv("rake 'seed seats' NAME=\"a b\"") == ("rake", "seed seats", "NAME=a b")
    assert post_deploy_argv("none of it") == ("none", "of", "it")


@pytest.mark.parametrize(
    ("text", "why", "advice"),
    [
        ("rake 'seed seats", 'no closing quotation at character 6: "\'seed seats"', "close the quote"),
        ('Rake "Seed', "no closing quotation at character 6: '\"Seed'", "close the quote"),
        ("rake seed\\", "no escaped character at character 10: '\\\\'", "take the backslash at the end away"),
    ],
)
def test_a_malformed_command_is_refused_with_the_position_when_the_task_is_saved(
    text: str, why: str, advice: str
) -> None:
    """Spec 7.6."""
    with pytest.raises(Refused) as refusal:
        new_task(draft("pay", "money", command=text), registry(), SHAPES)
    [reason] = refusal.value.reasons
    assert (reason.why, reason.next) == (why, advice)
