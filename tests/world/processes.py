"""Who lives in a folder: what a killed process must not leave behind."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def living_in(folder: Path) -> list[str]:
    """Command lines of the processes that work at or below `folder`; none where there is no /proc."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, is a zombie, or is none of ours
            if (process / "cwd").readlink().is_relative_to(folder.resolve()):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found
