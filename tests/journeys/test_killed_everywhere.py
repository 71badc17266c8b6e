"""The demo's process is killed with SIGKILL at every boundary of every step and inside it, and started again each time.

The world and the record must end as if nobody had disturbed them, and the thread must have told everything once.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

from bot.demo.tripwire import VARIABLE
from tests.world.processes import living_in
from tests.world.waiting import until

MOST_LIVES = 150
MOMENTS = ("started", "inside", "acted", "done")


def test_a_demo_killed_everywhere_ends_like_one_that_nobody_disturbed(tmp_path: Path) -> None:
    calm, hunted = tmp_path / "calm", tmp_path / "hunted"
    assert live(calm) == 0
    lives = [live(hunted, crash_at="every")]
    while lives[-1] == -signal.SIGKILL and len(lives) < MOST_LIVES:
        lives.append(live(hunted, crash_at="every"))
    assert lives[-1] == 0, (hunted / "said.txt").read_text()[-3000:]

    kills = Counter(line.partition(":")[0] for line in (hunted / "crashes").read_text().splitlines())
    steps = len({step for step, _ in record(calm)["journal"]})
    assert sum(kills.values()) == len(lives) - 1
    assert all(kills[moment] == steps for moment in MOMENTS if moment != "inside"), kills
    assert kills["inside"] >= steps - 2, kills

    assert effects(hunted) == effects(calm)
    assert record(hunted) == record(calm)
    assert not [line for line in told(hunted, "✅") if told(hunted, "✅").count(line) > 1]
    assert {plain(line) for line in told(calm, "✅")} <= {plain(line) for line in told(hunted, "✅", "⏭️")}


def live(folder: Path, crash_at: str = "") -> int:
    """One life of the demo in `folder`: its exit code, negative for the signal that ended it."""
    folder.mkdir(exist_ok=True)
    env = {**os.environ, VARIABLE: crash_at}
    argv = [sys.executable, "-m", "bot", "demo", "--state", str(folder)]
    with (folder / "said.txt").open("w") as said:
        code = subprocess.run(argv, env=env, stdout=said, stderr=subprocess.STDOUT, timeout=180).returncode
    asyncio.run(until(lambda: not serving_in(folder)))
    return code


def serving_in(folder: Path) -> list[str]:
    """The web processes of the demo's apps that outlived it."""
    return [line for line in living_in(folder) if "web.py" in line]


def effects(folder: Path) -> list[str]:
    """What the world felt, in words that do not name commits; lanes side by side may come in either order."""
    lines = [json.loads(line) for line in (folder / "transcript.jsonl").read_text().splitlines()]
    kinds = ("index.published", "platform.release", "platform.run", "index.impossible", "platform.impossible")
    keys = ("kind", "name", "filename", "app", "version", "command", "exit")
    return sorted(" ".join(str(line.get(key, "")) for key in keys) for line in lines if line["kind"] in kinds)


def record(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """What the database says in the end, without times and commits."""
    asked = {
        "releases": "select slug, state from releases",
        "tasks": "select slug, stage from tasks order by slug",
        "moves": 'select task, origin, "to", actor from moves order by task, id',
        "journal": "select step, state from journal order by step",
        "seals": "select distinct app, status, summary from seals order by app",
        # How a command ended that was cut off, an operator says, in words of their own.
        "checks": "select task, text from checks where text not like '[post-deploy]%' order by task, text",
    }
    with sqlite3.connect(folder / "state" / "stationmaster.db") as database:
        rows = {name: database.execute(query).fetchall() for name, query in asked.items()}
    return {name: [tuple(map(nameless, row)) for row in found] for name, found in rows.items()}


def nameless(value: object) -> object:
    """A text without the commits that it names."""
    return re.sub(r"\b[0-9a-f]{7}\b", "…", value) if isinstance(value, str) else value


def told(folder: Path, *marks: str) -> list[str]:
    """Lines of the thread about finished steps."""
    messages = [json.loads(line) for line in (folder / "transcript.jsonl").read_text().splitlines()]
    threads = [one["text"] for one in messages if one["kind"] == "discord.message" and one["thread"]]
    lines = [line for text in threads if not text.startswith("#") for line in text.splitlines()]
    return [line for line in lines if line.startswith(marks)]


def plain(line: str) -> str:
    """A line of the thread without its mark, commit, time and verdict."""
    return str(nameless(re.split(r" → | · | — ", line.partition(" ")[2])[0]))
