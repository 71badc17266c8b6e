"""What is said about tasks in the record: checks run, conversation, reviews and bids (spec 2.4–2.7, 7.3)."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import func, select, update

from adapters.database.connections import changed_since, columns
from adapters.database.people_rows import PeopleRows
from adapters.database.tables import bids, checks, remarks, reviews, tasks
from core.conversation import Remark
from core.handoffs import Check
from core.people import People
from core.registry import Sha
from core.reviews import Review
from core.sizing import Bid, Bidder, Size, Sizing, sizing


class DiscussionRows(PeopleRows):
    """The part of a transaction that is about what people say; see `core.records.Transaction`."""

    async def add_check(
        self, task: str, text: str, *, commit: Sha | None, at: datetime, by: str, machine: bool = False
    ) -> None:
        check = Check(text=text, commit=commit, at=at, by=by, machine=machine)
        await self._insert(checks, check, task=task)

    async def checks(self, task: str) -> list[Check]:
        return await self._all_of(Check, checks.c.task, task)

    async def add_remark(self, remark: Remark) -> Remark:
        return msgspec.structs.replace(remark, id=await self._insert(remarks, remark))

    async def remarks(self, task: str) -> list[Remark]:
        return await self._all_of(Remark, remarks.c.task, task)

    async def resolve_remark(self, remark: Remark) -> None:
        still_open = (remarks.c.id == remark.id, remarks.c.resolved_at.is_(None))
        values = {"resolved_at": remark.resolved_at, "resolved_by": remark.resolved_by}
        if not (await self._run(update(remarks).where(*still_open).values(**values))).rowcount:
            raise changed_since(f"#{remark.id} of {remark.task}", f"task show {remark.task}")

    async def add_review(self, review: Review) -> None:
        await self._insert(reviews, review)

    async def reviews(self, task: str) -> list[Review]:
        return await self._all_of(Review, reviews.c.task, task)

    async def put_bid(self, bid: Bid) -> None:
        await self._put(bids, ("task", "bidder"), columns(bids, bid))

    async def sizing(self, task: str, viewer: str) -> Sizing:
        given = [Bid(**row) for row in (await self._run(select(bids).where(bids.c.task == task))).mappings()]
        actual = (await self._run(select(tasks.c.actual).where(tasks.c.slug == task))).scalar_one_or_none()
        return sizing(given, actual, viewer, People(await self.links() if given else ()))

    async def sized(self) -> list[tuple[Bidder, Size, Size]]:
        revealed = select(bids.c.task).group_by(bids.c.task).having(func.count() == len(Bidder))
        wanted = select(bids.c.bidder, bids.c.size, tasks.c.actual).join(tasks, tasks.c.slug == bids.c.task)
        rows = await self._run(wanted.where(tasks.c.actual.is_not(None), bids.c.task.in_(revealed)))
        return [(row["bidder"], row["size"], row["actual"]) for row in rows.mappings()]
