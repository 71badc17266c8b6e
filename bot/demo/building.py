"""How the demo's tasks come about: two agents build them and hand them off, two reviewers look, one sends work back."""

from __future__ import annotations

import msgspec

from bot.demo.cast import Cast
from core.board import Board
from core.errors import Refused
from core.permissions import Actor, Face
from core.reviews import Seat, Verdict, review_round, seated
from core.tasks import Stage

_LOOKING = Actor("engine", "the story", frozenset(), Face.DISCORD)
_REVIEWERS = {Seat.HEAVY: "reviewer", Seat.LIGHT: "light"}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One task of the story: who builds it, how it is made, and what its builder leaves for the reviewers.

    `sent_back`: what the light reviewer finds in the first round; the second handoff has mended it.
    """

    builder: str
    slug: str
    made: dict[str, str]
    left: dict[str, str]
    sent_back: str = ""


PARTS = (
    Part(
        builder="agent",
        slug="coin-fees",
        made={
            "title": "Coins know their fees",
            "shape": "library",
            "repositories": "coin-core coin-ledger",
            "acceptance": "A coin names its fee, and the ledger shows it.",
            "tests": "Unit tests of both packages.",
        },
        left={
            "changed": "coin-core has fee(), coin-ledger prints it",
            "verified": "both suites, on a clean checkout",
            "look_first": "the rounding in coin_core/__init__.py",
            "checks": "[unit] python -m unittest: 14 passed",
            "reported": "opus-4 182000 3.40",
        },
    ),
    Part(
        builder="mate",
        slug="gold-seats",
        made={
            "title": "Gold seats in the treasury",
            "shape": "ui",
            "repositories": "treasury wallet",
            "depends_on": "coin-fees",
            "command": "python3 manage.py seed 'gold seats'",
            "acceptance": "Gold seats can be bought in treasury and wallet.",
            "tests": "Unit tests, and one purchase from end to end.",
        },
        left={
            "changed": "the seats, in the hub and in the wallet",
            "verified": "a purchase by hand",
            "checks": "[unit] bin/test: 31 passed\n[e2e] one purchase: passed",
        },
        sent_back="major: a seat can be bought twice\nnit: the price lacks its currency",
    ),
    Part(
        builder="agent",
        slug="kiosk-hours",
        made={
            "title": "The kiosk shows its hours",
            "shape": "script",
            "repositories": "kiosk",
            "acceptance": "The page says when the kiosk is open.",
            "tests": "Load the page.",
        },
        left={"changed": "the opening hours on the page", "checks": "[integration] page loads: passed"},
    ),
    Part(
        builder="mate",
        slug="kiosk-prices",
        made={
            "title": "The kiosk shows its prices",
            "shape": "script",
            "repositories": "kiosk",
            "acceptance": "The page says what things cost.",
            "tests": "Load the page.",
        },
        left={"changed": "the prices, where the hours are too", "checks": "[integration] page loads: passed"},
    ),
)


async def bring_to_review(cast: Cast, board: Board, part: Part) -> None:
    """Act after act, until both reviewers have approved; what was done before a kill is not done again."""
    while act := await _next_act(cast, board, part):
        await act


async def _next_act(cast: Cast, board: Board, part: Part):
    try:
        page = await board.show(_LOOKING, part.slug)
    except Refused:
        return cast.types(part.builder, "task new", {**part.made, "slug": part.slug})
    which = {"task": part.slug}
    match page.task.stage:
        case Stage.DESIGNED:
            return cast.types(part.builder, "task start", which)
        case Stage.BUILDING:
            return cast.types(part.builder, "task handoff", which, part.left)
        case Stage.BLOCKED:
            return cast.types(part.builder, "task unblock", which)
        case Stage.SUBMITTED:
            number = review_round(page.moves, page.remarks)
            seat = next(seat for seat in Seat if seat not in seated(page.reviews, number))
            found = part.sent_back if seat is Seat.LIGHT and number == 1 else ""
            verdict = Verdict.REQUEST_CHANGES if found else Verdict.APPROVE
            asked = {**which, "seat": seat.value, "verdict": verdict.value}
            return cast.types(_REVIEWERS[seat], "task review", asked, {"findings": found})
        case _:
            return None
