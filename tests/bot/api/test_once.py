"""What is sent twice is done once: idempotency keys, also where the process dies between the act and its answer."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from bot.api import once
from bot.api.problems import Rejected
from core.access import Used
from core.errors import StepFailed
from core.permissions import Role
from core.records import Records
from tests.world.api import DRAFT, Agent, Service


async def test_the_same_key_and_body_get_the_answer_that_was_given(ada: Agent) -> None:
    first = await ada.ask("POST", "/v1/tasks", DRAFT, Idempotency_Key="k1")
    again = await ada.ask("POST", "/v1/tasks", DRAFT, Idempotency_Key="k1")
    assert (first.status, again.status, again.said) == (201, 201, first.said)
    assert (first.headers["Idempotency-Replayed"], again.headers["Idempotency-Replayed"]) == ("false", "true")
    assert (await ada.get("/v1/tasks"))["total"] == 1


async def test_the_same_key_for_another_body_or_path_is_refused(ada: Agent) -> None:
    await ada.post("/v1/tasks", DRAFT, Idempotency_Key="k1")
    for path, body in (("/v1/tasks", {**DRAFT, "slug": "other"}), ("/v1/tasks/gold-seats/start", None)):
        refused = await ada.ask("POST", path, body, Idempotency_Key="k1")
        assert (refused.status, refused.whats) == (409, ["this Idempotency-Key was used for another request"])


async def test_a_key_is_its_bearers_own(ada: Agent, olive: Agent) -> None:
    await ada.post("/v1/tasks", DRAFT, Idempotency_Key="k1")
    assert (await olive.ask("POST", "/v1/releases", {"slug": "r1"}, Idempotency_Key="k1")).status == 201


async def test_a_token_with_fewer_roles_is_not_given_the_answer_of_one_with_more(service: Service, ada: Agent) -> None:
    await ada.post("/v1/tasks", DRAFT, Idempotency_Key="k1")
    weaker = await service.agent("ada", Role.REVIEWER)
    refused = await weaker.ask("POST", "/v1/tasks", DRAFT, Idempotency_Key="k1")
    assert (refused.status, refused.whats) == (409, ["this Idempotency-Key was used for another request"])


async def test_a_refused_request_gives_its_key_back(ada: Agent) -> None:
    assert (await ada.ask("POST", "/v1/tasks/gold-seats/start", Idempotency_Key="k1")).status == 404
    await ada.post("/v1/tasks", DRAFT)
    assert (await ada.ask("POST", "/v1/tasks/gold-seats/start", Idempotency_Key="k1")).status == 200


async def test_twenty_times_the_same_at_once_is_done_once(ada: Agent) -> None:
    await ada.post("/v1/tasks", DRAFT)
    path, body = "/v1/tasks/gold-seats/comment", {"body": "once"}
    told = await asyncio.gather(*(ada.ask("POST", path, body, Idempotency_Key="k1") for _ in range(20)))
    assert {answer.status for answer in told} == {200}
    assert len({answer.said["id"] for answer in told}) == 1
    assert len((await ada.get("/v1/tasks/gold-seats"))["remarks"]) == 1


async def test_the_secret_of_a_token_is_shown_once_and_not_kept_as_an_answer(service: Service, olive: Agent) -> None:
    asked = {"name": "builder-one", "roles": ["agent"]}
    issued = await olive.post("/v1/tokens", asked, Idempotency_Key="k1")
    again = await olive.ask("POST", "/v1/tokens", asked, Idempotency_Key="k1")
    assert (again.status, again.whats) == (409, ["cannot tell what became of this request"])
    assert len([one for one in await olive.get("/v1/tokens") if one["name"] == "builder-one"]) == 1
    async with service.database.reading() as tx:
        [kept] = (await tx.answered([Used("agent:olive", "k1")])).values()
    assert kept.answer is None
    assert issued["secret"]


class Killed(BaseException):
    """The process dies here."""


async def test_a_process_that_dies_between_act_and_answer_has_done_neither_or_both(service: Service) -> None:
    claim = once.used_for("ada", "k1", b"a request", service.station.ports.clock.now())

    async def dies(records: Records) -> bytes:
        async with records.transaction() as tx:
            await tx.put_setting("effect", "done")
        raise Killed

    async def lives(records: Records) -> bytes:
        async with records.transaction() as tx:
            assert await tx.setting("effect") is None
            await tx.put_setting("effect", "done")
        return b"answer"

    async def asked(call: once.Call) -> tuple[bytes, bool]:
        async with service.database.transaction() as tx:
            [given] = await once.within(tx, service.database, [once.Write(claim, call)])
            return given

    with pytest.raises(Killed):
        await asked(dies)
    assert await asked(lives) == (b"answer", False)
    assert await asked(lives) == (b"answer", True)


async def test_the_same_twice_in_one_transaction_is_done_once(service: Service) -> None:
    claim, calls = once.used_for("ada", "k1", b"a request", service.station.ports.clock.now()), list[str]()

    async def call(_: Records) -> bytes:
        calls.append("done")
        return b"answer"

    async with service.database.transaction() as tx:
        given = await once.within(tx, service.database, [once.Write(claim, call), once.Write(claim, call)])
    assert (given, calls) == ([(b"answer", False), (b"answer", True)], ["done"])


async def test_what_is_long_and_broke_off_is_not_repeated_but_asked_about(service: Service) -> None:
    claim = once.used_for("olive", "k1", b"a request", service.station.ports.clock.now())
    calls: list[str] = []

    async def dies(records: Records) -> bytes:
        calls.append("begun")
        raise Killed

    with pytest.raises(Killed):
        await once.after_a_claim(service.database, claim, dies)
    with pytest.raises(Rejected, match="cannot tell what became of this request"):
        await once.after_a_claim(service.database, claim, dies)
    assert calls == ["begun"]


async def test_what_is_long_and_failed_says_so_and_may_be_tried_again(service: Service) -> None:
    claim = once.used_for("olive", "k1", b"a request", service.station.ports.clock.now())

    async def fails(records: Records) -> bytes:
        raise StepFailed("the build broke")

    async def works(records: Records) -> bytes:
        return b"answer"

    with pytest.raises(StepFailed):
        await once.after_a_claim(service.database, claim, fails)
    assert await once.after_a_claim(service.database, claim, works) == (b"answer", False)


async def test_what_is_long_says_how_it_ended_though_the_record_fails_meanwhile(service: Service) -> None:
    claim = once.used_for("olive", "k1", b"a request", service.station.ports.clock.now())

    async def the_record_fails(records: Records) -> None:
        async with records.transaction() as tx:
            await tx._connection.execute(text("ALTER TABLE answered RENAME TO away"))  # pyright: ignore

    async def comes_back() -> None:
        async with service.database.transaction() as tx:
            await tx._connection.execute(text("ALTER TABLE away RENAME TO answered"))  # pyright: ignore
            await tx.drop_answered(claim.used)

    async def works(records: Records) -> bytes:
        await the_record_fails(records)
        return b"answer"

    async def breaks(records: Records) -> bytes:
        await the_record_fails(records)
        raise StepFailed("the build broke")

    assert await once.after_a_claim(service.database, claim, works) == (b"answer", False)
    await comes_back()
    with pytest.raises(StepFailed, match="the build broke"):
        await once.after_a_claim(service.database, claim, breaks)
