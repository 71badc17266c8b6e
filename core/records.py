"""The record's port: one transaction, the lease on the train, and the database behind them, as Protocols.

`adapters/database` implements them, for SQLite and PostgreSQL alike; guards and decisions are not its business.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from core.access import Access
from core.builds import Build
from core.conversation import Remark
from core.edits import Edit
from core.events import Event
from core.handoffs import Check
from core.journal import Entry, Evidence, LeaseHolder, Run, SealRecord
from core.people import Identity, Link
from core.registry import Argv, Sha
from core.releases import Release
from core.reviews import Review
from core.sizing import Bid, Bidder, Size, Sizing
from core.tasks import Move, Stage, Suggestion, Task, TaskQuery


class Transaction(Access, Protocol):
    """One transaction on the record. Reads inside it see one state; everything it writes happens or nothing does."""

    async def task(self, slug: str) -> Task | None: ...
    async def tasks(self, wanted: TaskQuery) -> list[Task]:
        """Newest first."""
        ...

    async def count_tasks(self, wanted: TaskQuery) -> int:
        """How many there are of those, `limit` and `after` left aside."""
        ...

    async def suggest_tasks(self, typed: str, stages: Collection[Stage], limit: int) -> list[Suggestion]:
        """Slugs that begin with `typed`, in their order; then tasks whose title has all of its words, or beginnings."""
        ...

    async def needs(self, task: str) -> dict[str, list[str]]:
        """What `task` depends on, and what those depend on, and so on: slug → slugs, all in one look."""
        ...

    async def insert_task(self, task: Task) -> None:
        """Refused when the slug is taken."""
        ...

    async def update_task(self, before: Task, after: Task) -> Task:
        """Write the fields that differ, and only those (L29); gives back `after` with its new revision.

        Refused when somebody wrote the task since `before` was read.
        """
        ...

    async def add_edits(self, edits: Sequence[Edit]) -> None: ...
    async def edits(self, task: str, *, after: int = 0) -> list[Edit]:
        """Oldest first: those that made a revision greater than `after`."""
        ...

    async def append_move(self, move: Move) -> None:
        """Refused when the timeline does not end where the move begins (spec 2.3)."""
        ...

    async def moves(self, task: str) -> list[Move]: ...
    async def add_check(
        self, task: str, text: str, *, commit: Sha | None, at: datetime, by: str, machine: bool = False
    ) -> None:
        """A line of the task's checks run (spec 7.3). `machine`: seen by the engine, not told by somebody (L53)."""
        ...

    async def checks(self, task: str) -> list[Check]: ...
    async def add_remark(self, remark: Remark) -> Remark:
        """Store an entry and return it with its `id`."""
        ...

    async def remarks(self, task: str) -> list[Remark]:
        """Oldest first."""
        ...

    async def resolve_remark(self, remark: Remark) -> None:
        """Store who resolved it and when; Refused when somebody else did already."""
        ...

    async def add_review(self, review: Review) -> None: ...
    async def reviews(self, task: str) -> list[Review]:
        """Oldest first."""
        ...

    async def links(self) -> list[Link]:
        """Every link between identities that an operator ever made, oldest first."""
        ...

    async def add_link(self, link: Link) -> None: ...
    async def end_link(self, link: Link) -> None:
        """Store who took it back, and when."""
        ...

    async def identities(self) -> list[Identity]:
        """Everybody who has acted, by the name shown last; the newest first."""
        ...

    async def put_bid(self, bid: Bid) -> None:
        """Store or change a bid."""
        ...

    async def sizing(self, task: str, viewer: str) -> Sizing:
        """The only way to read bids: what `viewer`, an id, may see of them (spec 2.7)."""
        ...

    async def sized(self) -> list[tuple[Bidder, Size, Size]]:
        """(bidder, bid, actual) of every task whose bids are revealed and whose actual size is known."""
        ...

    async def release(self, slug: str) -> Release | None: ...
    async def active_release(self) -> Release | None: ...
    async def releases(self, *, limit: int | None = None) -> list[Release]:
        """Newest first."""
        ...

    async def insert_release(self, release: Release) -> None:
        """Refused, naming the open one, when another release is active (spec 3.1)."""
        ...

    async def update_release(self, before: Release, after: Release) -> None:
        """Write what differs; Refused when somebody changed it since `before` was read."""
        ...

    async def add_build(self, build: Build) -> None: ...
    async def builds(self, repository: str) -> list[Build]:
        """Newest first."""
        ...

    async def append_event(self, event: Event) -> None:
        """Store it; the order of their ids is the order in which they were appended, and committed."""
        ...

    async def last_event(self) -> int:
        """The number of the newest event; 0 where nothing has happened."""
        ...

    async def events(self, *, after: int = 0, release: str | None = None, limit: int | None = 500) -> list[Event]:
        """Oldest first, with ids greater than `after`."""
        ...

    async def insert_run(self, run: Run) -> Run:
        """Store a run that was let go and return it with its `id`; Refused when the release has one that is running."""
        ...

    async def update_run(self, before: Run, after: Run) -> None:
        """Write what differs; Refused when its state or attempt changed since `before` was read."""
        ...

    async def run(self, run_id: int) -> Run | None: ...
    async def latest_run(self, release: str) -> Run | None: ...
    async def unfinished_runs(self) -> list[Run]: ...
    async def entries(self, release: str) -> dict[str, Entry]:
        """The journal of a release, by step key."""
        ...

    async def put_entry(self, entry: Entry) -> None:
        """Insert or replace the journal row of (release, key)."""
        ...

    async def evidence(self, repository: str, commit: Sha, argv: Argv) -> Evidence | None:
        """The newest evidence of a gate for exactly this commit and command."""
        ...

    async def add_evidence(self, evidence: Evidence) -> None: ...
    async def add_seal(self, seal: SealRecord) -> None: ...
    async def seals(self, release: str) -> list[SealRecord]: ...
    async def lease_holder(self) -> LeaseHolder | None:
        """Who holds the train now; None when nobody living does."""
        ...

    async def setting(self, name: str) -> str | None: ...
    async def put_setting(self, name: str, value: str) -> None: ...


class Lease(Protocol):
    """The right to run the train, with an epoch that fences every write (spec 6.10, database.md)."""

    def assert_fresh(self) -> None:
        """Raise LeaseLost when the last successful beat is too old to act on. Cheap; call right before each act."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A write transaction that commits only while this lease is the current one; else LeaseLost."""
        ...


class Records(Protocol):
    """The database: SQLite or PostgreSQL."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Read and write; commits at the end, rolls back on any exception."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """Read only; never waits for a writer."""
        ...

    def lease(self, holder: str) -> AbstractAsyncContextManager[Lease]:
        """Take the train and keep beating until the end of the block; the block is cancelled when the lease is lost.

        Refused, naming the holder and since when, while another living owner has it.
        """
        ...

    async def wait_for_events(self, after: int, timeout_seconds: float) -> bool:
        """True as soon as there is an event with an id greater than `after` (from any process), False on timeout."""
        ...
