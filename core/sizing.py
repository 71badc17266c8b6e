"""Sealed-bid sizing (spec 2.7): who sees which bid, and how far each role is off on the average. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from core.errors import Reason, Refused
from core.people import NOBODY_LINKED, Deed, People


class Size(StrEnum):
    """How big a task is."""

    S = "S"
    M = "M"
    L = "L"
    XL = "XL"

    @property
    def number(self) -> int:
        """S is 1, XL is 4."""
        return list(Size).index(self) + 1


class Bidder(StrEnum):
    """The three who bid."""

    PM = "PM"
    PO = "PO"
    DEV = "Dev"


class Bid(msgspec.Struct, frozen=True, kw_only=True):
    """One bid; `size` is None for whoever may not see it yet."""

    task: str
    bidder: Bidder
    size: Size | None
    by: str
    by_id: str = ""
    at: datetime

    @property
    def deed(self) -> Deed:
        """Whose it is, and since when."""
        return Deed(self.by_id, self.by, self.at)


class Sizing(msgspec.Struct, frozen=True):
    """What one viewer may see of a task's sizes; made by `sizing` only."""

    bids: tuple[Bid, ...] = ()
    actual: Size | None = None

    @property
    def is_revealed(self) -> bool:
        """All three are in: shown to everybody, and locked."""
        return not self.waiting

    @property
    def waiting(self) -> tuple[Bidder, ...]:
        """Who has not bid yet."""
        return tuple(bidder for bidder in Bidder if bidder not in {bid.bidder for bid in self.bids})


class Calibration(msgspec.Struct, frozen=True):
    """How far a bidder is off: the mean distance of their bids from the actual size, in sizes, over `tasks` tasks."""

    bidder: Bidder
    mean_distance: float
    tasks: int


def sizing(bids: Iterable[Bid], actual: Size | None, viewer: str, people: People = NOBODY_LINKED) -> Sizing:
    """The guard of the seal: all sizes but those of `viewer`, an id, are taken out until all three have bid."""
    given = sorted(bids, key=lambda bid: list(Bidder).index(bid.bidder))
    everything = Sizing(tuple(given), actual)
    if everything.is_revealed:
        return everything
    hidden = (bid if people.was(bid.deed, viewer) else msgspec.structs.replace(bid, size=None) for bid in given)
    return Sizing(tuple(hidden), actual)


def require_biddable(seen: Sizing, new: Bid, people: People, *, has_shipped: bool) -> None:
    """Refused, with every reason at once, when `new` may not be placed; until the reveal a bid may be changed."""
    reasons: list[Reason] = []
    if seen.is_revealed:
        reasons.append(Reason(f"the sizes of {new.task} are locked", "all three are in", f"task show {new.task}"))
    elif has_shipped:
        reasons.append(Reason(f"{new.task} takes no more bids", "it has shipped: bids are guesses", "task actual"))
    for bid in seen.bids:
        if bid.bidder is new.bidder and not people.was(bid.deed, new.by_id):
            reasons.append(
                Reason(
                    f"{bid.deed.told_to(new.by)} has bid for {bid.bidder}",
                    "a bid is its bidder's own",
                    "bid for another",
                )
            )
        if bid.bidder is not new.bidder and people.may_be(bid.deed, new.by_id, new.by):
            reasons.append(
                Reason(f"{new.by} has bid for {bid.bidder}", "one bids once", f"leave {new.bidder} to others")
            )
    if reasons:
        raise Refused.all(reasons)


def calibration(rows: Sequence[tuple[Bidder, Size, Size]]) -> tuple[Calibration, ...]:
    """Per bidder the mean distance; `rows` are (bidder, bid, actual). Who has no row is left out."""
    found: list[Calibration] = []
    for bidder in Bidder:
        distances = [abs(bid.number - actual.number) for one, bid, actual in rows if one is bidder]
        if distances:
            found.append(Calibration(bidder, sum(distances) / len(distances), len(distances)))
    return tuple(found)
