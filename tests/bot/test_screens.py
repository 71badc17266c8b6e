"""Whatever people, logs and commits say: every screen stays inside Discord's limits and rings for nobody."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from discord.http import handle_message_parameters
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import answers, plan_screens, screens
from bot.demo.discord.openapi import load_openapi
from bot.demo.discord.protocol import ApiError, Upload
from bot.demo.discord.rules import check_message
from bot.layout import sending
from bot.message import Message
from bot.words_for_discord import code, fence, plain
from core.board import TaskList, TaskPage
from core.conductor import Status
from core.deployments import Deployment
from core.errors import Reason
from core.events import Event, EventKind
from core.journal import LeaseHolder, PageCheck, SealRecord, SealStatus, ShipState
from core.notes import AppNote, PackageNote, ReleaseNotes, TaskNote
from core.registry import App, Package, Registry, Sha, Target
from core.releases import Artefact, Frozen, Release, ReleaseState
from core.tasks import Move, Stage, Task, TaskType, Work
from core.train.plan import Plan, ship_plan
from core.train.progress import Progress, StepState, StepStatus
from core.train.proposal import Outlook, Preview, Proposal

AT = datetime(2026, 7, 1, 12, tzinfo=UTC)
CALLS = ("<@1100000000000000200>", "<@&1100000000000000100>")
HOSTILE = [
    "@everyone",
    "<@1100000000000000200> <@&1100000000000000100> <#1> </ship:1>",
    "```\n# big\n```",
    "](https://evil.example) [x](https://evil.example)",
    "`" * 99,
    "x" * 5000,
    "|| ** __ ~~ > - 1. ##",
    "\\" * 3000,
    "\u202e\u2066desrever\ud800",
    "👩‍👩‍👧‍👦" * 500,
    "",
    " \n\t ",
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60), st.lists(st.sampled_from(HOSTILE)).map("\n".join))
OPENAPI = load_openapi()


async def payload(message: Message) -> dict[str, Any]:
    """What the client library would send."""
    arguments: dict[str, Any] = {**sending(message)}
    with handle_message_parameters(**arguments) as made:
        if made.multipart:
            return json.loads(next(part["value"] for part in made.multipart if part["name"] == "payload_json"))
        return made.payload or {}


def assert_all_legal(messages: Iterable[Message]) -> None:
    """See `assert_legal`."""

    async def each() -> None:
        for message in messages:
            assert_legal(message, await payload(message))

    asyncio.run(each())


def words(message: Message) -> str:
    """Everything that is shown."""
    return "\n".join([message.content, *message.blocks, *(f"{one.title}\n{one.text}" for one in message.cards)])


def assert_legal(message: Message, sent: dict[str, Any]) -> None:
    """Discord takes it, it rings for `calls` alone, and no foreign text does anything."""
    files = {n: Upload("plan.txt", "text/plain", b"") for n, _ in enumerate(sent.get("attachments", []))}
    assert OPENAPI
    mistakes = list(OPENAPI.request_mistakes("POST", "/channels/1/messages", {}, sent))
    assert mistakes == []
    try:
        check_message(sent, files)
    except ApiError as error:
        raise AssertionError(error.body) from error
    allowed = sent["allowed_mentions"]
    assert not allowed.get("parse")
    called = [f"<@{one}>" for one in allowed.get("users", [])] + [f"<@&{one}>" for one in allowed.get("roles", [])]
    assert called == list(message.calls)
    shown = words(message)
    assert shown.count("```") % 2 == 0, "a block of code was left open"
    prose = re.sub(r"\\.", "", "".join(shown.split("```")[::2]))  # nothing is read as markdown when escaped, or …
    prose = re.sub(r"`[^`\n]*`", "", prose)  # … inside code
    for call in message.calls:
        prose = prose.replace(call, "", 1)
    assert "@everyone" not in prose and "@here" not in prose
    assert not re.search(r"<[@#/]", prose) and "](" not in prose


def task(text: str) -> Task:
    """A task in which everything is said by others."""
    return Task(
        slug="task",
        title=text,
        type=TaskType.FEATURE,
        shape=text,
        works=(Work(text, text),) * 3,
        acceptance_criteria=text,
        test_plan=text,
        agent_context=text,
        post_deploy_cmd=text,
        depends_on=(text,),
        release=text,
        created_at=AT,
    )


def big_train(count: int, text: str = "it") -> tuple[Registry, Release, Plan]:
    """A train of `count` repositories, half of them packages."""
    packages = [
        Package(name=f"package-{n}", url="x", ecosystem="toy", version_file="V", release_check=("check", text))
        for n in range(count // 2)
    ]
    target = Target(strategy="toy", smoke_url="https://x")
    apps = [
        App(name=f"app-{n}", url="x", hub=not n, test_cmd=("test", text), prod_deploy=target, emoji=text)
        for n in range(count - count // 2)
    ]
    registry = Registry({one.name: one for one in packages}, {one.name: one for one in apps})
    frozen = tuple(
        Frozen(
            repository=name,
            sha=Sha("a" * 40),
            version="1.0.0" if name in registry.packages else None,
            artefacts=(Artefact("x", "0" * 64, 1),) if name in registry.packages else (),
            by_reference=("package-0",) if name in registry.apps else (),
        )
        for name in registry.repositories
    )
    release = Release(slug="r1", state=ReleaseState.ASSEMBLED, frozen=frozen, opened_by=text, opened_at=AT)
    return registry, release, ship_plan(release, (), registry)


def proposal(count: int, text: str, outlook: Outlook, problems: int) -> Proposal:
    """A plan beside a world that says `text`."""
    plan, said = big_train(count)[2], text.encode("utf-8", "replace").decode()
    previews = tuple(Preview(step.id, step.title + text, outlook, (("run", said),) * 2, text) for step in plan.steps)
    return Proposal("r1", plan, previews, (Reason(text, text, text),) * problems)


def progress(count: int, text: str, state: ShipState, step_states: Sequence[StepState]) -> Progress:
    """A ship whose steps are in `step_states`, over and over."""
    plan = big_train(count)[2]
    steps = [(phase.name, step) for phase in plan.phases for lane in phase.lanes for step in lane.steps]
    return Progress(
        release="r1",
        state=state,
        attempt=2,
        confirmed_by=text,
        confirmed_at=AT,
        ended_at=None if state is ShipState.RUNNING else AT,
        steps=tuple(
            StepStatus(
                id=step.id, title=step.title + text, phase=phase, state=step_states[n % len(step_states)], started_at=AT
            )
            for n, (phase, step) in enumerate(steps)
        ),
        live=tuple(f"{step.title}{text}" for _, step in steps),
        is_resting=True,
        reasons=(Reason(text),),
    )


def every_screen(count: int, text: str, states: Sequence[StepState], problems: int) -> Iterator[Message]:
    """Each screen once, with `text` wherever others can write."""
    registry, release, _ = big_train(count, text)
    one = task(text)
    red = SealRecord(
        app=text,
        status=SealStatus.RED,
        summary=text,
        checked_at=AT,
        checks=(PageCheck(text, False, text),) * count,
        rollback=(text,) * 3,
    )
    events = [
        Event(
            kind=kind,
            release="r1",
            at=AT,
            actor=text,
            step=f"deploy:{text}",
            facts={"title": text, "reasons": [text] * 3, "seconds": 1.5, "sha": text, "attempt": 2},
        )
        for kind in EventKind
    ]
    for outlook in Outlook:
        yield plan_screens.plan(proposal(count, text, outlook, problems), AT)
    for state in ShipState:
        seen = progress(count, text, state, states)
        yield screens.root(seen, plain(text))
        yield screens.board(seen, text.splitlines() * count, AT, "0123456789")
        yield screens.failure(seen, events[:count], {f"deploy:{text}": text.splitlines() * 20}, CALLS)
        yield screens.question(seen, events[:count], CALLS)
        holder = LeaseHolder(text, AT)
        yield answers.status(Status(release, (one,) * count, seen, (red,) * count, holder))
    for event in events:
        if line := screens.finished_step(event):
            yield Message(content=line)
    yield screens.settled_stop(events[0], events[:count])
    yield screens.red_seal(red, CALLS)
    yield screens.seals([msgspec.structs.replace(red, status=SealStatus.GREEN)] * count)
    yield from screens.notes(
        ReleaseNotes(
            release=text,
            confirmed_by=text,
            shipped_at=AT,
            seconds=99,
            packages=(PackageNote(text, text, text, True),) * count,
            apps=(AppNote(text, text, True, False, text),) * count,
            tasks=(TaskNote(text, text, (text,)),) * count,
            warnings=(text,) * count,
        )
    )
    yield answers.refusal([Reason(text, text, text)] * count)
    yield answers.deployments([Deployment(app, text, True, text, AT, red) for app in registry.apps.values()])
    yield answers.repositories(registry)
    yield answers.frozen(release)
    yield answers.task_list(TaskList((one,) * count, 999))
    move = Move(task="task", origin=None, to=Stage.BUILDING, actor=text, source=text, at=AT, reason=text, seconds=5)
    yield answers.task_page(TaskPage(one, (move,) * count, (text,) * count))
    yield answers.done(plain(text), plain(text))
    yield answers.breakdown("E-1234")


@given(
    text=texts,
    count=st.integers(2, 6),
    states=st.lists(st.sampled_from(list(StepState)), min_size=1, max_size=5),
    problems=st.integers(0, 30),
)
@settings(max_examples=20, deadline=None)
def test_no_text_breaks_a_screen(text: str, count: int, states: list[StepState], problems: int) -> None:
    assert_all_legal(every_screen(count, text, states, problems))


def test_a_train_of_forty_repositories_fits_every_screen() -> None:
    assert_all_legal(every_screen(40, "@everyone ``` " * 100, list(StepState), 40))
    folded = plan_screens.plan(proposal(40, "", Outlook.RUN, 0), AT)
    assert folded.attached and folded.attached[1].count("$ run") == 2 * len(big_train(40)[2].steps)


def test_the_board_of_forty_repositories_folds_what_is_over_and_shows_what_runs() -> None:
    seen = progress(40, "", ShipState.RUNNING, [StepState.DONE])
    steps = [*seen.steps]
    steps[-12] = msgspec.structs.replace(steps[-12], state=StepState.RUNNING)
    steps[-11:] = [msgspec.structs.replace(step, state=StepState.WAITING) for step in steps[-11:]]
    shown = words(screens.board(msgspec.structs.replace(seen, steps=tuple(steps)), ["last line"], AT, "0"))
    assert f"⏳ {plain(steps[-12].title)} — running" in shown and "last line" in shown
    assert "✅ publish — 40 done" in shown and "⬜ record — 1 waiting" in shown


@given(texts, st.integers(10, 300))
def test_foreign_text_is_one_line_inside_its_limit(text: str, limit: int) -> None:
    for shown in (plain(text, limit), code(text, limit)):
        assert 0 < len(shown) <= limit and "\n" not in shown
    block = fence(text.splitlines(), limit=900)
    assert len(block) <= 900 and block.count("```") in (0, 2)


def test_only_a_mention_of_discord_is_called() -> None:
    allowed = sending(Message(content="x", calls=("@everyone", "<@5>", "<@&6>", "<@x>"))).get("allowed_mentions")
    assert allowed and allowed.to_dict() == {"parse": [], "users": [5], "roles": [6]}


def test_the_plan_draws_the_line_after_which_there_is_no_way_back() -> None:
    shown = words(plan_screens.plan(proposal(2, "", Outlook.SKIP, 0), AT)).splitlines()
    line = next(n for n, text in enumerate(shown) if "Point of no return" in text)
    assert "publish" in shown[line + 1] and "already live" in shown[line + 2]
    assert any("check every package" in text for text in shown[:line])
