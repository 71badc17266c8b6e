"""The task board over HTTP: what agents do all day, and what two of them do at once."""

from __future__ import annotations

import asyncio

from core.permissions import Role
from tests.world.api import DRAFT, HANDOFF, Agent, Service


async def test_a_task_goes_from_new_to_reviewed(service: Service, ada: Agent, rex: Agent, lux: Agent) -> None:
    assert (await ada.post("/v1/tasks", DRAFT))["slug"] == "gold-seats"
    await ada.post("/v1/tasks/gold-seats/start")
    assert (await ada.post("/v1/tasks/gold-seats/handoff", HANDOFF))["stage"] == "submitted"
    for seat, reviewer in (("heavy", rex), ("light", lux)):
        await reviewer.post("/v1/tasks/gold-seats/review", {"seat": seat, "verdict": "approve"})
    page = await ada.get("/v1/tasks/gold-seats")
    assert page["task"]["stage"] == "reviewed"
    assert [move["source"] for move in page["moves"]] == ["api"] * 4
    assert page["moves"][2]["tokens"] is None


async def test_a_draft_cannot_choose_its_stage_or_builder(ada: Agent) -> None:
    refused = await ada.ask("POST", "/v1/tasks", {**DRAFT, "stage": "shipped", "builder": "rex"})
    assert refused.status == 422
    assert refused.whats == ["unknown key 'stage'", "unknown key 'builder'"]


async def test_pages_of_tasks_add_up_to_the_total(service: Service, ada: Agent) -> None:
    for number in range(7):
        await ada.post("/v1/tasks", {**DRAFT, "slug": f"t{number}"})
    seen: list[str] = []
    after = ""
    while True:
        page = await ada.get(f"/v1/tasks?limit=3{after}")
        assert page["total"] == 7
        seen += [task["slug"] for task in page["tasks"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == [f"t{number}" for number in reversed(range(7))]


async def test_two_agents_start_one_task_and_one_of_them_is_told_so(service: Service, ada: Agent) -> None:
    bob = await service.agent("bob", Role.AGENT)
    await ada.post("/v1/tasks", DRAFT)
    both = await asyncio.gather(*(agent.ask("POST", "/v1/tasks/gold-seats/start") for agent in (ada, bob)))
    assert sorted(answer.status for answer in both) == [200, 409]
    refused = next(answer for answer in both if answer.status == 409)
    assert refused.said["reasons"][0] == {
        "what": "gold-seats is not designed",
        "why": "it is building",
        "next": "legal from here: submitted, blocked",
    }


async def test_a_hundred_agents_hand_off_at_once_and_none_is_lost(service: Service) -> None:
    agents = [await service.agent(f"agent-{number}", Role.AGENT) for number in range(100)]
    for number, agent in enumerate(agents):
        await agent.post("/v1/tasks", {**DRAFT, "slug": f"t{number}"})
        await agent.post(f"/v1/tasks/t{number}/start")
    told = await asyncio.gather(
        *(agent.ask("POST", f"/v1/tasks/t{number}/handoff", HANDOFF) for number, agent in enumerate(agents))
    )
    assert [answer.status for answer in told] == [200] * 100
    assert (await agents[0].get("/v1/tasks?stage=submitted"))["total"] == 100


async def test_an_edit_of_what_somebody_else_changed_meanwhile_is_refused(service: Service, ada: Agent) -> None:
    bob = await service.agent("bob", Role.AGENT)
    task = await ada.post("/v1/tasks", DRAFT)
    theirs = await bob.ask("PATCH", "/v1/tasks/gold-seats", {"title": "Silver seats", "revision": task["revision"]})
    assert theirs.status == 200
    mine = await ada.ask("PATCH", "/v1/tasks/gold-seats", {"title": "Bronze seats", "revision": task["revision"]})
    assert mine.status == 409
    other = await ada.ask("PATCH", "/v1/tasks/gold-seats", {"worktree": "w1", "revision": task["revision"]})
    assert (other.status, other.said["title"]) == (200, "Silver seats")


async def test_a_bid_is_seen_by_nobody_else_before_all_three_are_in(service: Service, ada: Agent, rex: Agent) -> None:
    await ada.post("/v1/tasks", DRAFT)
    await ada.post("/v1/tasks/gold-seats/bid", {"bidder": "PM", "size": "XL"})
    assert [bid["size"] for bid in (await rex.get("/v1/tasks/gold-seats"))["sizing"]["bids"]] == [None]
    assert [bid["size"] for bid in (await ada.get("/v1/tasks/gold-seats"))["sizing"]["bids"]] == ["XL"]


async def test_hostile_words_come_back_to_the_letter_and_break_nothing(ada: Agent) -> None:
    body = (
        "@everyone <@123> ```\n# x [a](javascript:alert(1)) </script><img src=x onerror=alert(1)> \u202e '; DROP TABLE"
    )
    await ada.post("/v1/tasks", {**DRAFT, "title": "<b>@here</b> `gold`", "agent_context": body})
    await ada.post("/v1/tasks/b-here-b-gold/comment", {"body": body})
    page = await ada.get("/v1/tasks/b-here-b-gold")
    assert page["task"]["agent_context"] == page["remarks"][0]["body"] == body
