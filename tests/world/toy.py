"""A world in memory: what outlives a process, and the ledger of every effect on it. It refuses impossible orders.

Every touch of it, before and after each effect, may be where the power goes (`Kill`); every question to one of its
places (`World.ask`) may be met by silence, by one failure, or by something that happens meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from inspect import isawaitable

from core.errors import Unreachable
from core.registry import Sha


class Kill(BaseException):
    """The power is gone. Nobody catches it."""


class World:
    """What outlives the process, and the ledger of every effect on it."""

    def __init__(self) -> None:
        self.commits: dict[Sha, tuple[tuple[Sha, ...], dict[str, bytes]]] = {}
        self.messages: dict[Sha, tuple[str, str]] = {}
        self.refs: dict[tuple[str, str], Sha] = {}
        self.tags: dict[tuple[str, str], Sha] = {}
        self.published: dict[tuple[str, str], dict[str, str]] = {}
        self.yanked: set[tuple[str, str]] = set()
        self.modes: dict[str, str] = {}
        self.requires: dict[str, tuple[str, ...]] = {}
        self.running: dict[str, Sha] = {}
        self.on_qa: dict[str, Sha] = {}
        self.blind: set[str] = set()
        self.kept: dict[str, bytes] = {}
        self.built: list[str] = []
        self.unsteady = False
        self.ledger: list[tuple[str, ...]] = []
        self.impossible: list[str] = []
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.hub: str | None = None
        self.red_gates: set[str] = set()
        self.red_sites: set[str] = set()
        self.failing: dict[str, Exception] = {}
        self.meanwhile: dict[str, Callable[[], object]] = {}
        self.silent: set[str] = set()
        self.absent: set[str] = set()
        self.propagation = 0
        self.stuck_locks = 0
        self.also_locked: dict[str, str] = {}  # what a resolver moves beside the pins: name → `==V` or `@COMMIT`
        self.power: Callable[[str], bool] = lambda point: True
        self.points: list[str] = []

    def touch(self, point: str) -> None:
        """Every look and every act passes here, before and after."""
        self.points.append(point)
        if not self.power(point):
            raise Kill(point)

    def effect(self, *what: str, apply: Callable[[], None]) -> None:
        """An irreversible act: the power may go right before it and right after it."""
        self.touch(f"before {what}")
        apply()
        self.ledger.append(what)
        self.touch(f"after {what}")

    async def ask(self, place: str) -> None:
        """A question to `place`: something else may happen meanwhile, it may be silent, or fail once."""
        self.touch(f"ask {place}")
        if place in self.meanwhile:
            happening = self.meanwhile.pop(place)()
            if isawaitable(happening):
                await happening
        if place in self.silent:
            raise Unreachable(f"{place} does not answer", "the line is dead", "try again")
        if place in self.failing:
            raise self.failing.pop(place)

    def fail(self, place: str, *errors: Exception) -> None:
        """Let the next questions to `place` meet `errors`, one after the other."""
        left = iter(errors)

        def next_one() -> None:
            if error := next(left, None):
                self.meanwhile[place] = next_one
                raise error

        self.meanwhile[place] = next_one

    def commit(self, files: Mapping[str, bytes], *parents: Sha) -> Sha:
        """A new commit; the same input gives the same one."""
        text = repr((parents, sorted(files.items()))).encode()
        sha = Sha(hashlib.sha1(text).hexdigest())
        self.commits[sha] = (parents, dict(files))
        return sha

    def ancestors(self, sha: Sha) -> set[Sha]:
        """`sha` and everything before it."""
        found: set[Sha] = set()
        todo = [sha]
        while todo:
            one = todo.pop()
            if one not in found and one in self.commits:
                found.add(one)
                todo += self.commits[one][0]
        return found


class Place:
    """What stands in the world behind one of the ports."""

    def __init__(self, world: World) -> None:
        self._world = world
