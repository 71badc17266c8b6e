"""Sealed bids (spec 2.7): nobody learns anything of another's bid before all three are in, whatever they try."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from core.errors import Refused
from core.permissions import Actor, Face
from core.sizing import Bid, Bidder, Size, calibration, sizing
from core.tasks import TaskQuery
from tests.world.reviewing import ADA, REX
from tests.world.toy import World
from tests.world.toy_record import FAST, database_in, record_in
from tests.world.toy_train import OLIVE, Station, draft

PEOPLE = (ADA, REX, OLIVE)
SECRETIVE = ADA
"""Whose bids differ between the two worlds."""
Ask = Callable[[Station, Actor], Awaitable[object]]


async def _events(station: Station, actor: Actor) -> object:
    async with station.ports.records.reading() as tx:
        return await tx.events()


LOOKS: dict[str, Ask] = {
    "show": lambda station, actor: station.board.show(actor, "pay"),
    "list": lambda station, actor: station.board.list(TaskQuery(text="pay")),
    "suggest": lambda station, actor: station.board.suggest("pay"),
    "calibration": lambda station, actor: station.board.calibration(),
    "events": _events,
    "comment": lambda station, actor: station.board.comment(actor, "pay", "how big is it?"),
    "start": lambda station, actor: station.board.start(actor, "pay"),
}
people, sizes = st.sampled_from(PEOPLE), st.sampled_from(Size)
asks = st.tuples(people, st.sampled_from(list(Bidder)), sizes) | st.tuples(
    people, st.sampled_from(sorted(LOOKS)), sizes
)


async def answer(station: Station, actor: Actor, what: str, size: Size) -> bytes:
    """All that `actor` reads when asking for it."""
    try:
        if what in LOOKS:
            return msgspec.json.encode(await LOOKS[what](station, actor))
        return msgspec.json.encode(await station.board.bid(actor, "pay", Bidder(what), size))
    except Refused as refusal:
        return str(refusal).encode()


def other(size: Size) -> Size:
    return list(Size)[size.number % 4]


@given(st.lists(asks, min_size=4, max_size=10))
@settings(max_examples=15, deadline=None, phases=[Phase.generate])
def _nobody_can_tell_two_bids_apart(empty_record: Path, tried: list[tuple[Actor, str, Size]]) -> None:
    asyncio.run(_compared(empty_record, tried))


async def _compared(empty_record: Path, tried: list[tuple[Actor, str, Size]]) -> None:
    """Two worlds that differ in the sizes of one bidder only: the others read the same in both, until the reveal."""
    with tempfile.TemporaryDirectory(dir=FAST) as one, tempfile.TemporaryDirectory(dir=FAST) as two:
        for folder in (one, two):
            shutil.copy(empty_record, record_in(Path(folder)))
        databases = [database_in(Path(folder)) for folder in (one, two)]
        stations = [Station(World(), database, Path(one)) for database in databases]
        for station in stations:
            await station.board.new(ADA, draft("pay", "money"))
        for actor, what, size in tried:
            either = (size, other(size) if actor is SECRETIVE else size)
            said = [
                await answer(station, actor, what, chosen) for station, chosen in zip(stations, either, strict=True)
            ]
            if (await stations[0].board.show(OLIVE, "pay")).sizing.is_revealed:
                break
            assert actor is SECRETIVE or said[0] == said[1]
            for viewer in set(PEOPLE) - {SECRETIVE}:
                assert len({await answer(station, viewer, "show", size) for station in stations}) == 1
        for database in databases:
            await database.close()


def test_whatever_is_tried_nobody_learns_of_a_bid_early(empty_record: Path) -> None:
    _nobody_can_tell_two_bids_apart(empty_record)


async def test_bids_are_sealed_then_revealed_then_locked(station: Station) -> None:
    await station.board.new(ADA, draft("pay", "money"))
    seen = await station.board.bid(ADA, "pay", Bidder.DEV, Size.S)
    assert [(bid.bidder, bid.size) for bid in seen.bids] == [(Bidder.DEV, Size.S)]
    seen = await station.board.bid(REX, "pay", Bidder.PM, Size.XL)
    assert [(bid.bidder, bid.by, bid.size) for bid in seen.bids] == [
        (Bidder.PM, "rex", Size.XL),
        (Bidder.DEV, "ada", None),
    ]
    assert seen.waiting == (Bidder.PO,)
    await station.board.bid(ADA, "pay", Bidder.DEV, Size.M)
    assert (await station.board.bid(OLIVE, "pay", Bidder.PO, Size.L)).is_revealed
    page = await station.board.show(Actor("test:anybody", "anybody", frozenset(), Face.DISCORD), "pay")
    assert [bid.size for bid in page.sizing.bids] == [Size.XL, Size.L, Size.M]
    with pytest.raises(Refused, match="locked"):
        await station.board.bid(ADA, "pay", Bidder.DEV, Size.S)


async def test_nobody_bids_for_two_or_for_somebody_else(station: Station) -> None:
    await station.board.new(ADA, draft("pay", "money"))
    await station.board.bid(ADA, "pay", Bidder.DEV, Size.S)
    await station.board.bid(REX, "pay", Bidder.PM, Size.S)
    with pytest.raises(Refused) as refusal:
        await station.board.bid(ADA, "pay", Bidder.PM, Size.S)
    assert sorted(reason.what for reason in refusal.value.reasons) == ["ada has bid for Dev", "rex has bid for PM"]
    with pytest.raises(Refused, match="may size tasks"):
        await station.board.bid(Actor("test:eve", "eve", frozenset(), Face.DISCORD), "pay", Bidder.PO, Size.S)


async def test_the_actual_size_is_said_once_a_task_has_shipped_and_calibrates_who_bid(assembled: Station) -> None:
    for actor, bidder, size in ((ADA, Bidder.DEV, Size.S), (REX, Bidder.PM, Size.XL), (OLIVE, Bidder.PO, Size.L)):
        await assembled.board.bid(actor, "pay", bidder, size)
    await assembled.board.bid(ADA, "words", Bidder.DEV, Size.XL)
    with pytest.raises(Refused, match="no actual size yet"):
        await assembled.board.actual(ADA, "pay", Size.M)
    await assembled.shipped()
    await assembled.board.actual(ADA, "pay", Size.L)
    await assembled.board.actual(ADA, "words", Size.S)
    found = {one.bidder: (one.mean_distance, one.tasks) for one in await assembled.board.calibration()}
    assert found == {Bidder.PM: (1, 1), Bidder.PO: (0, 1), Bidder.DEV: (2, 1)}, "what stays sealed calibrates nobody"
    with pytest.raises(Refused, match="no more bids"):
        await assembled.board.bid(REX, "words", Bidder.PM, Size.S)


@given(st.lists(st.tuples(st.sampled_from(Bidder), st.sampled_from(Size), st.sampled_from(Size))))
def test_calibration_is_the_mean_distance_of_each_bidder(rows: list[tuple[Bidder, Size, Size]]) -> None:
    for one in calibration(rows):
        distances = [abs(bid.number - actual.number) for bidder, bid, actual in rows if bidder is one.bidder]
        assert one.mean_distance == pytest.approx(sum(distances) / len(distances))
        assert one.tasks == len(distances)


@given(st.dictionaries(st.sampled_from(Bidder), st.sampled_from(Size)), st.sampled_from(["a", "b", "c", "eve"]))
def test_a_viewer_sees_the_own_bid_or_all_three(given_bids: dict[Bidder, Size], viewer: str) -> None:
    names = dict(zip(Bidder, "abc", strict=True))
    at = draft("pay").created_at
    bids = [
        Bid(task="pay", bidder=one, size=size, by=names[one], by_id=f"test:{names[one]}", at=at)
        for one, size in given_bids.items()
    ]
    seen = sizing(bids, None, f"test:{viewer}")
    shown = {bid.bidder for bid in seen.bids if bid.size}
    assert shown == (set(Bidder) if len(bids) == 3 else {one for one in given_bids if names[one] == viewer})
