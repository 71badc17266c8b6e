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

from bot import answer_screens, plan_screens, release_console, run_screens, task_console, task_screens
from bot.demo.discord.openapi import load_openapi
from bot.demo.discord.protocol import ApiError, Upload
from bot.demo.discord.rules import check_message, check_modal
from bot.layout import modal, sending
from bot.message import CUSTOM_ID, Act, Button, Form, Message, filled
from bot.words_for_discord import code, fence, plain
from core.board import TaskList, TaskPage
from core.conductor import Assembly, Status
from core.conversation import Remark, RemarkKind
from core.deployments import Deployment
from core.errors import Reason
from core.events import Event, EventKind
from core.handoffs import Check
from core.journal import LeaseHolder, PageCheck, RunState, SealRecord, SealStatus
from core.notes import AppNote, PackageNote, ReleaseNotes, TaskNote
from core.registry import App, Package, Registry, Sha, Target
from core.releases import Artefact, Frozen, Release, ReleaseState
from core.sizing import Bid, Bidder, Calibration, Size, Sizing
from core.tasks import Move, Stage, Task, TaskType, Work
from core.train.plan import Plan, ship_plan
from core.train.progress import Progress, StepState, StepStatus
from core.train.proposal import Outlook, Preview, Proposal
from core.train.sightings import Mark, Row
from core.train.standing import Standing

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
        worktree=text,
        local_url=text,
        qa_url=text,
        production_url=text,
        risk_tags=(text,) * 3,
        builder=text,
        release=text,
        created_at=AT,
    )


def task_page(text: str, count: int) -> TaskPage:
    """A page on which everything is said by others."""
    move = Move(
        task="task", origin=None, to=Stage.BUILDING, actor=text, source="cli", at=AT, reason=text, seconds=5, model=text
    )
    remarks = [Remark(task="task", kind=kind, author=text, body=text, at=AT) for kind in RemarkKind]
    return TaskPage(
        task=task(text),
        moves=(move,) * count,
        checks=(Check(text=text, commit=Sha(text), at=AT, by=text),) * count,
        remarks=(*remarks, msgspec.structs.replace(remarks[0], resolved_at=AT, resolved_by=text)),
        sizing=Sizing((Bid(task="task", bidder=Bidder.PM, size=Size.S, by=text, at=AT),), Size.L),
        missing=(Reason(text, text, text),) * count,
        legal=(Stage.BUILDING,),
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


def progress(count: int, text: str, state: RunState, step_states: Sequence[StepState]) -> Progress:
    """A ship whose steps are in `step_states`, over and over."""
    plan = big_train(count)[2]
    steps = [(phase.name, step) for phase in plan.phases for lane in phase.lanes for step in lane.steps]
    return Progress(
        release="r1",
        state=state,
        attempt=2,
        confirmed_by=text,
        confirmed_at=AT,
        ended_at=None if state is RunState.RUNNING else AT,
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
    for state in RunState:
        seen = progress(count, text, state, states)
        yield run_screens.root(seen, plain(text))
        yield run_screens.board(seen, text.splitlines() * count, AT, "0123456789")
        yield run_screens.failure(seen, events[:count], {f"deploy:{text}": text.splitlines() * 20}, CALLS)
        yield run_screens.question(seen, events[:count], CALLS)
        holder = LeaseHolder(text, AT)
        yield answer_screens.status(Status(release, (one,) * count, seen, (red,) * count, holder))
    for event in events:
        if line := run_screens.finished_step(event):
            yield Message(content=line)
    yield run_screens.settled_stop(events[:count])
    yield run_screens.red_seal(red, CALLS)
    yield run_screens.seals([msgspec.structs.replace(red, status=SealStatus.GREEN)] * count)
    yield from run_screens.notes(
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
    yield answer_screens.refusal([Reason(text, text, text)] * count)
    yield answer_screens.deployments([Deployment(app, text, True, text, AT, red) for app in registry.apps.values()])
    yield answer_screens.repositories(registry)
    rows = (Row(task=text, repository=text, merged=Mark.YES, qa=Mark.NONE),) * count
    yield answer_screens.standing(Standing(text, rows, (Reason(text, text, text),) * count))
    yield answer_screens.frozen(release)
    yield task_screens.task_list(TaskList((one,) * min(count, 20), 999, "after-this-one"))
    page = task_page(text, count)
    yield from (task_screens.task_page(page, number) for number in (1, 2, 3, 99))
    yield task_screens.changed(one, text)
    yield task_screens.remarked(page.remarks[-1])
    yield task_screens.sizes("task", page.sizing)
    yield task_screens.calibration((Calibration(Bidder.DEV, 0.5, 2),))
    yield answer_screens.done(plain(text), plain(text))
    yield answer_screens.breakdown("E-1234")


@given(
    text=texts,
    count=st.integers(2, 6),
    states=st.lists(st.sampled_from(list(StepState)), min_size=1, max_size=5),
    problems=st.integers(0, 30),
)
@settings(max_examples=20, deadline=None)
def test_no_text_breaks_a_screen(text: str, count: int, states: list[StepState], problems: int) -> None:
    assert_all_legal(every_screen(count, text, states, problems))


@given(texts)
@settings(max_examples=50, deadline=None)
def test_no_text_breaks_a_form_or_gets_lost_in_it(text: str) -> None:
    opener = Button("", Act.REVIEW, "a" * 48, "heavy.request-changes")
    edit = task_screens.edit_form(msgspec.structs.replace(task(text), title="title"))
    for form in (edit, task_screens.handoff_form(opener), task_screens.review_form(opener)):
        again = filled(form, {field.name: text[:4000] for field in form.fields})
        asyncio.run(assert_legal_form(again))
    shown = {field.name: field.value for field in edit.fields}
    assert task_screens.touched(edit.opener.mark, shown) == {}
    assert task_screens.touched(edit.opener.mark, shown | {"test_plan": text + "!"}) == {"test_plan": text + "!"}


async def assert_legal_form(form: Form) -> None:
    """Discord takes it."""
    made, body = modal(form), dict[str, Any]()
    body |= {"type": 9, "data": made.to_dict()}
    assert OPENAPI
    assert list(OPENAPI.request_mistakes("POST", "/interactions/1/token/callback", {}, body)) == []
    check_modal(made.to_dict())
    assert CUSTOM_ID.fullmatch(made.custom_id) and len(made.custom_id) <= 100


@given(texts)
def test_everything_of_a_task_is_on_its_pages_whole_and_once(text: str) -> None:
    lines = [f"{number} {'x' * 1500} {text.replace('`', '')[:40].split()}" for number in range(8)]
    page = TaskPage(task=msgspec.structs.replace(task(""), acceptance_criteria="\n".join(lines)))
    first = task_screens.task_page(page)
    count = int(re.findall(r"page 1 of (\d+)", words(first))[0])
    whole = "".join(words(task_screens.task_page(page, number)) for number in range(1, count + 1))
    assert whole.count("x") >= 8 * 1500
    assert "".join(task_console.told(page)).count("x" * 1500) == 8


def test_a_train_of_forty_repositories_fits_every_screen() -> None:
    assert_all_legal(every_screen(40, "@everyone ``` " * 100, list(StepState), 40))
    folded = plan_screens.plan(proposal(40, "", Outlook.RUN, 0), AT)
    assert folded.attached and folded.attached[1].count("$ run") == 2 * len(big_train(40)[2].steps)


def test_the_board_of_forty_repositories_folds_what_is_over_and_shows_what_runs() -> None:
    seen = progress(40, "", RunState.RUNNING, [StepState.DONE])
    steps = [*seen.steps]
    steps[-12] = msgspec.structs.replace(steps[-12], state=StepState.RUNNING)
    steps[-11:] = [msgspec.structs.replace(step, state=StepState.WAITING) for step in steps[-11:]]
    shown = words(run_screens.board(msgspec.structs.replace(seen, steps=tuple(steps)), ["last line"], AT, "0"))
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


def test_what_changed_after_its_review_stands_beside_the_plan_on_every_face() -> None:
    unseen = (Reason("pay changed after its review", "handoff by ada", "task review pay heavy VERDICT"),)
    found = msgspec.structs.replace(proposal(2, "", Outlook.RUN, 0), unseen=unseen)
    for shown in (words(plan_screens.plan(found, AT)), words(plan_screens.assembly(Assembly(None, found)))):
        assert "⚠️ **pay changed after its review**\nhandoff by ada\n→ `/task review` pay heavy VERDICT" in shown
    assert "! pay changed after its review" in list(release_console.proposal(found))


def test_the_table_is_aligned_on_the_command_line_and_every_oddity_names_its_repair() -> None:
    rows = (Row(task="pay", repository="money", merged=Mark.YES, qa=Mark.NONE, frozen=Mark.NO, live=Mark.UNKNOWN),)
    assert list(release_console.standing(Standing("r1", rows, (Reason("a\nb", "why", "git revert x"),)))) == [
        "  task                     repository       merged on QA  frozen live",
        "  pay                      money            yes    —      no     ?",
        "! a b",
        "    why",
        "    → git revert x",
    ]


def test_the_notes_name_a_task_that_changed_packages_only() -> None:
    found = ReleaseNotes(
        release="r1",
        confirmed_by="ada",
        shipped_at=AT,
        seconds=99,
        packages=(PackageNote("money", "1.1", "c" * 40, False),),
        apps=(AppNote("hub", "d" * 40, True, True, "green: all"),),
        tasks=(TaskNote("fees", "Fees are rounded up", ("money",)), TaskNote("seats", "Gold seats", ("hub",))),
        warnings=(),
    )
    (packages, hub) = run_screens.notes(found)[0].cards
    assert packages.text.endswith("\n• Fees are rounded up (fees)") and hub.text.endswith("\n• Gold seats (seats)")
