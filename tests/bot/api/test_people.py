"""Who speaks over HTTP is the agent of a token, whatever other people call themselves."""

from __future__ import annotations

from core.permissions import Role
from tests.world.api import Agent, Service
from tests.world.reviewing import ADA, handed_off
from tests.world.toy_train import draft


async def test_whoever_shows_a_token_is_told_who_it_is(ada: Agent) -> None:
    assert await ada.get("/v1/me") == {"id": "agent:ada", "name": "ada", "roles": ["agent"]}


async def test_a_builder_in_a_shell_reviews_nothing_by_a_linked_token(
    service: Service, ada: Agent, olive: Agent
) -> None:
    await service.station.board.new(ADA, draft("cents", "money"))
    await handed_off(service.station.board, "cents")
    rex = await service.agent("rex-2", Role.REVIEWER)
    assert (await ada.ask("GET", "/v1/people")).status == 403
    assert "agent:rex-2" in await olive.post("/v1/people/link", {"one": ADA.id, "other": "agent:rex-2"})
    answer = await rex.ask("POST", "/v1/tasks/cents/review", {"seat": "heavy", "verdict": "approve"})
    assert (answer.status, answer.whats) == (409, ["rex-2 built cents, as ada"])
    assert await olive.post("/v1/people/unlink", {"identity": "agent:rex-2"}) == [ADA.id]
    found = {one["id"]: one for one in await olive.get("/v1/people")}
    assert found[ADA.id]["same_as"] == []


async def test_nobody_creates_a_task_that_names_another_builder(ada: Agent) -> None:
    body = {"title": "Cents", "type": "bug", "shape": "toy", "works": [{"repository": "money", "branch": "feat/c"}]}
    for field in ("builder", "builder_id"):
        assert (await ada.ask("POST", "/v1/tasks", {**body, field: "agent:rex"})).status == 422
