"""`python -m tests.benchmarks [NAME…]`: a table, `build/bench.json`, and exit code 1 when a bar is missed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks import acknowledgement, agents, assembling, board, reading, start, train_cost
from tests.benchmarks.figures import Figure, table, write

BENCHMARKS: dict[str, Callable[[Path], list[Figure]]] = {
    "help": start.help_page,
    "assembling": assembling.many_branches,
    "ready": start.bot_ready,
    "acknowledgement": acknowledgement.while_a_step_is_loud,
    "serial": train_cost.serial,
    "side-by-side": train_cost.side_by_side,
    "reading": reading.built_files,
    "board": board.full_board,
    "lists": agents.lists,
    "handoffs": agents.handoffs,
}
BUILD = Path(__file__).resolve().parent.parent.parent / "build"


def main(names: Sequence[str]) -> int:
    """Run what is named, or everything; scratch lies on a real disk, where syncs cost what they cost."""
    if unknown := set(names) - BENCHMARKS.keys():
        print(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    BUILD.mkdir(exist_ok=True)
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="bench-") as folder:
        for name in names or BENCHMARKS:
            measured = BENCHMARKS[name](Path(folder))
            print(*table(measured), sep="\n", flush=True)
            found += measured
    write(found, BUILD / "bench.json")
    return 0 if all(figure.ok for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
