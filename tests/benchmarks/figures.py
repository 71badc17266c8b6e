"""What a benchmark says, and how it is shown: a table for people, `build/bench.json` for machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One measurement. `baseline`: what `value` is a ratio to, or the machine that it was measured on.

    `bar`: what `value` may be at the most.
    """

    name: str
    value: float
    unit: str
    baseline: str
    bar: float
    ok: bool


def figure(name: str, value: float, unit: str, *, bar: float, baseline: str = "") -> Figure:
    """A measurement beside its bar; one without a baseline is bound to this machine."""
    return Figure(name, round(value, 3), unit, baseline or machine(), bar, value <= bar)


def machine() -> str:
    """Where this runs, as far as figures depend on it."""
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} CPUs at load {load:.1f}, Python {platform.python_version()}"


def table(figures: Sequence[Figure]) -> list[str]:
    """The figures as lines of equal columns."""
    rows = [(f"{'✓' if f.ok else '✗'} {f.name}", f"{f.value:g} {f.unit}", f"≤ {f.bar:g}", f.baseline) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def write(figures: Sequence[Figure], path: Path) -> None:
    """The figures as a JSON list of objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
