"""Who is the same person as whom: by identity and by what operators linked, whatever people call themselves."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from core.doorkeeper import Doorkeeper
from core.edits import TaskChanges
from core.errors import Forbidden, Refused
from core.events import EventKind
from core.people import Deed, Link, People
from core.permissions import Actor, Face, Role
from core.reviews import Seat, Verdict
from core.sizing import Bidder, Size
from core.tasks import Stage
from tests.world.reviewing import ADA, HANDOFF, REX, TESS, handed_off
from tests.world.toy_train import OLIVE, Station, draft

ALL = frozenset(Role)
IN_DISCORD = Actor("discord:200000000000000001", "Ada", ALL, Face.DISCORD, "<@200000000000000001>")
BY_TOKEN = Actor("agent:ada", "ada", ALL, Face.API)
IN_A_SHELL = Actor("os:1000", "ada", ALL, Face.CLI)
NAMESAKES = (IN_DISCORD, BY_TOKEN, IN_A_SHELL)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def renamed(actor: Actor, name: str) -> Actor:
    """The same person under another name."""
    return msgspec.structs.replace(actor, name=name)


def door(station: Station) -> Doorkeeper:
    """Who links people."""
    return Doorkeeper(station.ports, lambda: "a-secret")


async def submitted(station: Station, builder: Actor) -> None:
    """A task that `builder` built and handed off."""
    await station.board.new(builder, draft("pay", "money"))
    await handed_off(station.board, "pay", builder)


async def approves(station: Station, actor: Actor, seat: Seat = Seat.HEAVY) -> Stage:
    """Give an approval."""
    return (await station.board.review(actor, "pay", seat, Verdict.APPROVE)).stage


@pytest.mark.parametrize("actor", NAMESAKES, ids=lambda one: one.id)
async def test_who_is_renamed_after_building_still_cannot_approve_the_own_work(station: Station, actor: Actor) -> None:
    await submitted(station, actor)
    with pytest.raises(Refused, match="a builder never reviews it"):
        await approves(station, renamed(actor, "somebody else"))


async def test_another_account_under_the_builders_old_name_is_another_person(station: Station) -> None:
    await submitted(station, IN_DISCORD)
    heir = msgspec.structs.replace(IN_DISCORD, id="discord:200000000000000002")
    assert await approves(station, heir) is Stage.SUBMITTED


async def test_who_began_what_another_handed_off_cannot_review_it_under_a_new_name(station: Station) -> None:
    await station.board.new(ADA, draft("pay", "money"))
    await station.board.start(IN_DISCORD, "pay")
    await station.board.edit(ADA, "pay", TaskChanges(acceptance_criteria="it works", test_plan="try it"))
    await station.board.handoff(ADA, "pay", HANDOFF)
    with pytest.raises(Refused, match="somebody else built pay, as Ada"):
        await approves(station, renamed(IN_DISCORD, "somebody else"))


async def test_who_handed_off_under_another_name_cannot_review(station: Station) -> None:
    await submitted(station, ADA)
    await station.board.handoff(IN_DISCORD, "pay", HANDOFF)
    with pytest.raises(Refused, match="a builder never reviews it"):
        await approves(station, renamed(IN_DISCORD, "zoe"))


async def test_one_person_under_two_names_does_not_fill_both_seats(station: Station) -> None:
    await submitted(station, ADA)
    await approves(station, IN_DISCORD, Seat.LIGHT)
    with pytest.raises(Refused, match="two seats, two people"):
        await approves(station, renamed(IN_DISCORD, "rex"))


@pytest.mark.parametrize("other", [BY_TOKEN, IN_A_SHELL], ids=lambda one: one.id)
async def test_one_person_on_two_linked_faces_neither_reviews_the_own_work_nor_fills_both_seats(
    station: Station, other: Actor
) -> None:
    await submitted(station, IN_DISCORD)
    await station.board.comment(other, "pay", "here I am")
    await door(station).link(OLIVE, IN_DISCORD.id, other.id)
    with pytest.raises(Refused, match="a builder never reviews it"):
        await approves(station, renamed(other, "rex"))
    await station.board.new(ADA, draft("turf", "money"))
    await handed_off(station.board, "turf", ADA)
    await station.board.review(IN_DISCORD, "turf", Seat.LIGHT, Verdict.APPROVE)
    with pytest.raises(Refused, match="two seats, two people"):
        await station.board.review(renamed(other, "rex"), "turf", Seat.HEAVY, Verdict.APPROVE)


async def test_namesakes_on_two_faces_that_nobody_linked_are_two_people(station: Station) -> None:
    await submitted(station, IN_DISCORD)
    assert await approves(station, BY_TOKEN) is Stage.SUBMITTED
    assert await approves(station, IN_A_SHELL, Seat.LIGHT) is Stage.REVIEWED


async def test_links_reach_over_a_third_identity(station: Station) -> None:
    await submitted(station, IN_DISCORD)
    for actor in (BY_TOKEN, IN_A_SHELL):
        await station.board.comment(actor, "pay", "here I am")
    await door(station).link(OLIVE, IN_DISCORD.id, BY_TOKEN.id)
    assert set(await door(station).link(OLIVE, IN_A_SHELL.id, BY_TOKEN.id)) == {one.id for one in NAMESAKES}
    with pytest.raises(Refused, match="a builder never reviews it"):
        await approves(station, IN_A_SHELL)


async def test_who_is_unlinked_after_building_is_not_free_to_review_that(station: Station) -> None:
    await door(station).link(OLIVE, IN_DISCORD.id, "discord:200000000000000009")
    alter = msgspec.structs.replace(IN_DISCORD, id="discord:200000000000000009", name="nine")
    await submitted(station, IN_DISCORD)
    await door(station).unlink(OLIVE, alter.id)
    with pytest.raises(Refused, match="a builder never reviews it"):
        await approves(station, alter)
    await station.board.new(IN_DISCORD, draft("turf", "money"))
    await handed_off(station.board, "turf", IN_DISCORD)
    after = await station.board.review(alter, "turf", Seat.HEAVY, Verdict.APPROVE)
    assert after.stage is Stage.SUBMITTED  # what is built from then on is another's


async def test_the_others_stay_one_person_when_the_one_between_them_is_taken_out(station: Station) -> None:
    ids = [f"discord:20000000000000000{number}" for number in range(4)]
    for other in ids[1:]:
        await door(station).link(OLIVE, ids[0], other)
    await door(station).unlink(OLIVE, ids[0])
    async with station.ports.records.reading() as tx:
        people = People(await tx.links())
    assert people.of(ids[0]) == ()
    assert people.of(ids[1]) == (ids[2], ids[3])


@pytest.mark.parametrize(
    "viewer", [*NAMESAKES[1:], msgspec.structs.replace(IN_DISCORD, id="discord:300000000000000001")]
)
async def test_a_namesake_reads_no_sealed_bid_also_when_linked_afterwards(station: Station, viewer: Actor) -> None:
    await station.board.new(ADA, draft("pay", "money"))
    await station.board.bid(IN_DISCORD, "pay", Bidder.PM, Size.XL)
    await station.board.comment(viewer, "pay", "hello")
    assert [bid.size for bid in (await station.board.show(viewer, "pay")).sizing.bids] == [None]
    await door(station).link(OLIVE, IN_DISCORD.id, viewer.id)
    assert [bid.size for bid in (await station.board.show(viewer, "pay")).sizing.bids] == [None]
    with pytest.raises(Refused, match="a bid is its bidder's own"):
        await station.board.bid(viewer, "pay", Bidder.PM, Size.S)
    with pytest.raises(Refused, match="one bids once"):
        await station.board.bid(viewer, "pay", Bidder.PO, Size.S)


async def test_a_renamed_bidder_and_a_face_linked_before_see_and_change_the_own_bid(station: Station) -> None:
    await station.board.new(ADA, draft("pay", "money"))
    await station.board.comment(BY_TOKEN, "pay", "hello")
    await door(station).link(OLIVE, IN_DISCORD.id, BY_TOKEN.id)
    await station.board.bid(IN_DISCORD, "pay", Bidder.PM, Size.XL)
    for actor in (renamed(IN_DISCORD, "zoe"), BY_TOKEN):
        assert [bid.size for bid in (await station.board.show(actor, "pay")).sizing.bids] == [Size.XL]
    changed = await station.board.bid(BY_TOKEN, "pay", Bidder.PM, Size.S)
    assert [bid.size for bid in changed.bids] == [Size.S]


async def test_a_face_that_was_unlinked_since_reads_the_sealed_bid_no_more(station: Station) -> None:
    await station.board.new(BY_TOKEN, draft("pay", "money"))
    await door(station).link(OLIVE, IN_DISCORD.id, BY_TOKEN.id)
    await station.board.bid(IN_DISCORD, "pay", Bidder.PM, Size.XL)
    await door(station).unlink(OLIVE, BY_TOKEN.id)
    assert [bid.size for bid in (await station.board.show(BY_TOKEN, "pay")).sizing.bids] == [None]


async def test_a_namesake_does_not_resolve_anothers_feedback_as_its_author(station: Station) -> None:
    await station.board.new(ADA, draft("pay", "money"))
    remark = await station.board.feedback(IN_DISCORD, "pay", "it is red")
    namesake = msgspec.structs.replace(IN_DISCORD, id="discord:2", roles=frozenset({Role.AGENT}))
    with pytest.raises(Refused, match="only Ada or a reviewer"):
        await station.board.resolve(namesake, "pay", remark.id)
    author = msgspec.structs.replace(IN_DISCORD, name="zoe", roles=frozenset({Role.AGENT}))
    assert (await station.board.resolve(author, "pay", remark.id)).resolved_at


@pytest.mark.parametrize("name", ["Ada", "ada ", "ADA", " ada"])
def test_what_was_recorded_by_name_forbids_for_an_equal_name_and_allows_nothing(name: str) -> None:
    people, deed = People(), Deed("name:ada", "ada", AT)
    assert people.may_be(deed, "discord:1", name)
    assert not people.was(deed, "discord:1")
    assert not people.was(deed, "name:ada")
    assert not people.may_be(deed, "discord:1", "rex")


def test_what_was_recorded_by_name_can_be_linked_by_an_operator_and_only_forbids_more() -> None:
    people = People([Link(one="name:ada", other="discord:1", linked_by="os:0", linked_at=AT)])
    deed = Deed("name:ada", "ada", AT + timedelta(days=1))
    assert people.may_be(deed, "discord:1", "zoe")
    assert not people.was(deed, "discord:1")


@pytest.mark.parametrize(("one", "other"), [("os:7", "os:7/rex"), ("os:7/rex", "os:7")])
def test_who_builds_in_the_bare_shell_is_everybody_for_whom_that_shell_speaks(one: str, other: str) -> None:
    assert People().may_be(Deed(one, "ada", AT), other, "rex")
    assert not People().may_be(Deed(one, "ada", AT), "os:70/rex", "rex")
    assert not People().was(Deed(one, "ada", AT), other)


async def test_only_operators_see_and_link_people_and_a_link_gives_no_role(station: Station) -> None:
    asked = (door(station).people(REX), door(station).link(REX, "os:1", "os:2"), door(station).unlink(REX, "os:1"))
    for one in asked:
        with pytest.raises(Forbidden, match="only the operator role may"):
            await one


async def test_a_link_to_nobody_to_oneself_or_twice_is_refused_and_changes_nothing(station: Station) -> None:
    await station.board.new(ADA, draft("pay", "money"))
    for one, other, why in (
        (ADA.id, "agent:nobody", "nobody is known as 'agent:nobody'"),
        (ADA.id, ADA.id, "is one identity"),
        ("discord:1", ADA.id, "nobody is known as 'discord:1'"),
    ):
        with pytest.raises(Refused, match=why):
            await door(station).link(OLIVE, one, other)
    await door(station).link(OLIVE, ADA.id, IN_DISCORD.id)
    with pytest.raises(Refused, match="are one person already"):
        await door(station).link(OLIVE, IN_DISCORD.id, ADA.id)
    with pytest.raises(Refused, match="is linked to nobody"):
        await door(station).unlink(OLIVE, OLIVE.id)
    async with station.ports.records.reading() as tx:
        assert len(await tx.links()) == 1
        kinds = [event.kind for event in await tx.events()]
    assert kinds == [EventKind.TASK_CREATED, EventKind.PERSON_LINKED]


async def test_people_are_known_by_the_name_shown_last_and_by_whom_they_are(station: Station) -> None:
    await station.board.new(IN_DISCORD, draft("pay", "money"))
    await station.board.comment(renamed(IN_DISCORD, "Zoe"), "pay", "a new name")
    await station.board.comment(BY_TOKEN, "pay", "hello")
    await door(station).link(OLIVE, IN_DISCORD.id, BY_TOKEN.id)
    found = {one.id: one for one in await door(station).people(OLIVE)}
    assert (found[IN_DISCORD.id].name, found[IN_DISCORD.id].face) == ("Zoe", Face.DISCORD)
    assert found[IN_DISCORD.id].same_as == (BY_TOKEN.id,)
    assert found[OLIVE.id].same_as == ()


async def test_a_token_that_is_made_again_is_the_same_agent(station: Station) -> None:
    first = await door(station).issue(OLIVE, "ada", [Role.AGENT])
    await door(station).revoke(OLIVE, first.token.id)
    again = Doorkeeper(station.ports, lambda: "another-secret")
    second = await again.issue(OLIVE, "ada", [Role.REVIEWER])
    assert again.admit(second.token).id == first.token.identity == "agent:ada"


async def test_two_people_of_one_name_are_told_apart_where_one_hears_of_the_other(station: Station) -> None:
    await submitted(station, ADA)
    await approves(station, IN_DISCORD, Seat.LIGHT)
    with pytest.raises(Refused, match=re.escape("by Ada (discord:200000000000000001) in this round")):
        await approves(station, BY_TOKEN, Seat.LIGHT)
    with pytest.raises(Refused, match="by Ada in this round"):
        await approves(station, REX, Seat.LIGHT)


@pytest.mark.parametrize("name", ["Аda", "a\u200bda", "ＡＤＡ"])
def test_a_name_that_reads_like_a_recorded_one_forbids_as_that_one_does(name: str) -> None:
    assert People().may_be(Deed("name:ada", "ada", AT), "discord:1", name)


async def test_who_turns_out_to_be_one_person_after_approving_is_named_until_others_have_looked(
    station: Station,
) -> None:
    await submitted(station, IN_A_SHELL)
    await approves(station, IN_DISCORD, Seat.LIGHT)
    assert await approves(station, BY_TOKEN) is Stage.REVIEWED
    assert (await station.board.show(OLIVE, "pay")).missing == ()
    await door(station).link(OLIVE, IN_DISCORD.id, BY_TOKEN.id)
    await door(station).link(OLIVE, IN_DISCORD.id, IN_A_SHELL.id)
    whats = ["pay was approved by who built it"] * 2 + ["one person approved pay twice"]
    assert [reason.what for reason in (await station.board.show(OLIVE, "pay")).missing] == whats
    await station.conductor.open(OLIVE, "r1", ["pay"])
    assert [reason.what for reason in (await station.conductor.plan("r1")).unseen] == whats
    await station.board.handoff(ADA, "pay", HANDOFF)
    for seat, reviewer in ((Seat.LIGHT, TESS), (Seat.HEAVY, REX)):
        await station.board.review(reviewer, "pay", seat, Verdict.APPROVE)
    assert (await station.board.show(OLIVE, "pay")).missing == ()
