"""Where the record of a toy train stands: a real SQLite file, in memory where the machine has such a place."""

from __future__ import annotations

from pathlib import Path

from adapters.database.leases import DEFAULT_TIMES, LeaseTimes
from adapters.database.records import Database

# The journal is written with a flush to the disk each time; memory has no slow ones.
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None


def record_in(folder: Path) -> Path:
    """The file."""
    return folder / "train.db"


def database_in(folder: Path, lease_times: LeaseTimes = DEFAULT_TIMES) -> Database:
    """The record of a folder, as one process has it."""
    return Database(f"sqlite:///{record_in(folder)}", lease_times=lease_times)
