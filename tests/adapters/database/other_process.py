"""What another process does in these tests: `python -m tests.adapters.database.other_process URL open|hold|append`.

It says what it did in one line each; `open` and `append` wait for a line on stdin first.
"""

from __future__ import annotations

import asyncio
import sys

from adapters.database.records import Database
from core.errors import LeaseLost, Refused
from tests.adapters.database.samples import SHORT, a_release, an_event


async def main(url: str, what: str, *words: str) -> None:
    """Do `what` on the database at `url`."""
    database = Database(url, lease_times=SHORT)
    print("ready", flush=True)
    if what != "hold":
        await asyncio.to_thread(sys.stdin.readline)
    await database.open()
    await database.upgrade()
    try:
        match what:
            case "open":
                async with database.transaction() as rows:
                    await rows.insert_release(a_release(*words))
                print("opened", flush=True)
            case "append":
                async with database.transaction() as rows:
                    await rows.append_event(an_event())
            case _:
                await hold(database)
    except Refused as refusal:
        print(f"refused: {refusal}", flush=True)
    except LeaseLost:
        print("lost", flush=True)
    await database.close()


async def hold(database: Database) -> None:
    """Hold the train and write without a pause, from now to the end of time."""
    async with database.lease("the child") as lease:
        written = 0
        while True:
            async with lease.transaction() as rows:
                await rows.put_setting("written by the child", str(written))
            if not written:
                print("held", flush=True)
            written += 1
            await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
