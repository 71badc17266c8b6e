"""The way of a task from the board to reviewed, as people go it: built, handed off with its checks, reviewed by two."""

from __future__ import annotations

from core.board import Board
from core.edits import TaskChanges
from core.handoffs import Handoff
from core.permissions import Actor, Face, Role
from core.reviews import Seat, Verdict

ADA = Actor("test:ada", "ada", frozenset({Role.AGENT}), Face.CLI)
REX = Actor("test:rex", "rex", frozenset({Role.REVIEWER}), Face.CLI)
TESS = Actor("test:tess", "tess", frozenset({Role.REVIEWER}), Face.CLI)
HANDOFF = Handoff(
    changed="what the title says",
    verified="by hand",
    look_first="at the tests",
    checks=tuple(f"[{tier}] make test: 3 passed" for tier in ("unit", "component", "integration", "e2e")),
)


async def handed_off(board: Board, slug: str, builder: Actor = ADA) -> None:
    """A designed task is built and submitted; what the definition of ready wants is filled in."""
    await board.start(builder, slug)
    await board.edit(builder, slug, TaskChanges(acceptance_criteria="it works", test_plan="try it"))
    await board.handoff(builder, slug, HANDOFF)


async def brought_to_review(board: Board, slug: str) -> None:
    """A designed task goes all the way to reviewed."""
    await handed_off(board, slug)
    await board.review(TESS, slug, Seat.LIGHT, Verdict.APPROVE)
    await board.review(REX, slug, Seat.HEAVY, Verdict.APPROVE)
