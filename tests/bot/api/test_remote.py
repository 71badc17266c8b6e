"""The task board over the network is the task board: same methods, same answers, same refusals, same exit codes."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator

import msgspec
import pytest
from aiohttp import web

from bot.api.problems import problem, trouble
from bot.api.routes import ROUTES
from bot.command_line import actor
from bot.remote import opened_remote
from core.board import Board
from core.edits import TaskChanges
from core.errors import Forbidden, NeedsOperator, NotFound, Reason, Refused, StepFailed, Trouble, Unreachable
from core.handoffs import Handoff
from core.reviews import Finding, Seat, Severity, Verdict
from core.sizing import Bidder, Size
from core.tasks import Reported, Stage, TaskQuery
from tests.world.api import Agent, Service
from tests.world.toy_train import ADA, draft


@pytest.fixture
async def board(service: Service, ada: Agent) -> AsyncGenerator[Board]:
    """What a command of `ada` opens."""
    async with opened_remote(Board, service.url, ada.secret) as found:
        yield found


def test_every_use_case_of_the_board_has_a_route() -> None:
    use_cases = {name for name, _ in inspect.getmembers(Board, inspect.iscoroutinefunction) if name[0] != "_"}
    assert use_cases <= {route.use_case.__name__ for route in ROUTES if route.owner is Board}


async def test_a_task_is_worked_on_as_if_the_board_were_here(service: Service, board: Board) -> None:
    made = await board.new(actor(), draft("gold", "hub"))
    assert made == (await service.station.board.show(ADA, "gold")).task
    await board.edit(actor(), "gold", TaskChanges(acceptance_criteria="gold", test_plan="look"), made.revision)
    await board.start(actor(), "gold")
    said = Handoff(changed="all", checks=("[unit] 3 passed",), reported=Reported("some model", 1200, 0.02))
    assert (await board.handoff(actor(), "gold", said)).stage is Stage.SUBMITTED
    await board.bid(actor(), "gold", Bidder.DEV, Size.XL)
    page = await board.show(actor(), "gold")
    behind_the_token = msgspec.structs.replace(ADA, id="agent:ada")
    assert page == await service.station.board.show(behind_the_token, "gold")
    assert page.moves[-1].tokens == 1200
    found = await board.list(TaskQuery(stage=Stage.SUBMITTED, text="gold"))
    assert found == await service.station.board.list(TaskQuery(stage=Stage.SUBMITTED, text="gold"))
    assert await board.suggest("go", [Stage.SUBMITTED, Stage.BUILDING]) == await service.station.board.suggest("go")
    assert await board.calibration() == ()


async def test_a_refusal_says_the_same_as_it_does_here(service: Service, board: Board) -> None:
    await board.new(actor(), draft("gold", "hub"))
    for kind, there, here in (
        (NotFound, board.start(actor(), "gild"), service.station.board.start(ADA, "gild")),
        (Refused, board.archive(actor(), "gold"), service.station.board.archive(ADA, "gold")),
        (Refused, board.new(actor(), draft("gold", "hubb")), service.station.board.new(ADA, draft("gold", "hubb"))),
        (
            Forbidden,
            board.actual(actor(), "gold", Size.S),
            service.station.board.actual(ADA, "gold", Size.S),
        ),
    ):
        with pytest.raises(Trouble) as far:
            await there
        with pytest.raises(Trouble) as near:
            await here
        assert far.value.reasons == near.value.reasons
        assert far.value.exit_code == near.value.exit_code
        assert isinstance(far.value, kind) or type(near.value) is not kind


async def test_findings_of_a_review_arrive_as_they_were_given(service: Service, board: Board, rex: Agent) -> None:
    await board.new(actor(), draft("gold", "hub"))
    await board.edit(actor(), "gold", TaskChanges(acceptance_criteria="gold", test_plan="look"))
    await board.start(actor(), "gold")
    await board.handoff(actor(), "gold", Handoff(changed="all", checks=("[unit] 3 passed",)))
    findings = (Finding(Severity.NIT, "a comma"), Finding(Severity.BLOCKER, "it is silver"))
    async with opened_remote(Board, service.url, rex.secret) as theirs:
        await theirs.review(actor(), "gold", Seat.HEAVY, Verdict.REQUEST_CHANGES, findings, "look again")
    [review] = (await board.show(actor(), "gold")).reviews
    assert (review.reviewer, review.findings) == ("rex", findings)


@pytest.mark.parametrize("url", ["http://example.com", "ftp://127.0.0.1", "nonsense"])
async def test_a_token_never_travels_readable(url: str) -> None:
    with pytest.raises(Refused, match="STATIONMASTER_URL"):
        async with opened_remote(Board, url, "secret"):
            pass


async def test_without_a_token_it_is_said_where_one_comes_from() -> None:
    with pytest.raises(Refused, match="STATIONMASTER_TOKEN is not set"):
        async with opened_remote(Board, "http://127.0.0.1:9", ""):
            pass


async def test_nobody_there_is_not_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.remote._PAUSE_SECONDS", 0)
    async with opened_remote(Board, "http://127.0.0.1:9", "secret") as board:
        with pytest.raises(Unreachable, match="does not answer"):
            await board.start(actor(), "gold")


async def test_an_answer_that_was_lost_on_the_way_is_asked_for_again_and_nothing_is_done_twice(
    service: Service, ada: Agent
) -> None:
    lost: list[str] = []

    async def forward(request: web.Request) -> web.StreamResponse:
        """A proxy that does its work and drops the first answer."""
        async with ada.session.request(
            request.method, service.url + request.path_qs, data=await request.read(), headers=request.headers
        ) as answer:
            body = await answer.read()
        if not lost:
            lost.append(request.path)
            assert request.transport
            request.transport.abort()
        return web.Response(body=body, status=answer.status, content_type=answer.content_type)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with opened_remote(Board, f"http://127.0.0.1:{runner.addresses[0][1]}", ada.secret) as board:
            assert (await board.new(actor(), draft("gold", "hub"))).slug == "gold"
    finally:
        await runner.cleanup()
    assert lost == ["/v1/tasks"]
    assert (await ada.get("/v1/tasks"))["total"] == 1


def test_a_trouble_survives_the_way_through_a_problem() -> None:
    for kind in (Forbidden, NotFound, Refused, StepFailed, NeedsOperator, Unreachable):
        first = kind.all([Reason("what", "why", "next"), Reason("and this")])
        again = trouble(problem(first))
        assert (type(again), again.reasons) == (kind, first.reasons)
