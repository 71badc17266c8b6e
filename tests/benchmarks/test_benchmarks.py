"""The benchmarks run, on tiny sizes; what they measure is judged by `make bench` only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks import acknowledgement, agents, assembling, board, reading, start, train_cost
from tests.benchmarks.__main__ import main
from tests.benchmarks.figures import Figure, figure, table, write

TINY: dict[str, Callable[[Path], list[Figure]]] = {
    "help": partial(start.help_page, runs=1),
    "ready": partial(start.bot_ready, runs=1),
    "acknowledgement": partial(acknowledgement.while_a_step_is_loud, seconds=2, lines_per_second=200),
    "assembling": partial(assembling.many_branches, files=600, branches=2),
    "serial": partial(train_cost.serial, satellites=1, runs=1),
    "side-by-side": partial(train_cost.side_by_side, satellites=1, runs=1, tool_seconds=0),
    "reading": partial(reading.built_files, modules=3, runs=2),
    "board": partial(board.full_board, few=10, many=20, rounds=6),
    "lists": partial(agents.lists, tasks=20, rounds=6),
    "handoffs": partial(agents.handoffs, agents=3, pauses=(0,), tool_seconds=0),
}


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_benchmark_gives_figures(name: str, tmp_path: Path) -> None:
    assert all(one.value >= 0 for one in TINY[name](tmp_path))


def test_a_missed_bar_is_marked_and_written_down(tmp_path: Path) -> None:
    figures = [figure("quick", 1, "s", bar=2), figure("slow", 3.14159, "× nothing", bar=2, baseline="nothing")]
    assert table(figures)[1].split() == ["✗", "slow", "3.142", "×", "nothing", "≤", "2", "nothing"]
    write(figures, tmp_path / "bench.json")
    quick, slow = msgspec.json.decode((tmp_path / "bench.json").read_bytes())
    assert list(slow.items())[1:] == [
        ("value", 3.142),
        ("unit", "× nothing"),
        ("baseline", "nothing"),
        ("bar", 2),
        ("ok", False),
    ]
    assert quick["ok"] and "CPUs" in quick["baseline"]


def test_a_benchmark_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speed"]) == 2
    assert "known: help, " in capsys.readouterr().err
