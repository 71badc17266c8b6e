"""What strategies tell people: the end of a log, and advice on git that is true for the commit at hand (L47)."""

from __future__ import annotations

from pathlib import Path

from core.errors import Trouble
from core.registry import App, Sha
from core.repositories import Repositories
from core.words import short

_LINES = 12
_BYTES = 2000


def end_of(log: Path) -> str:
    """The last lines of a log, which the process door has masked; empty when there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - _BYTES, 0))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LINES:]).strip()


async def way_back(repositories: Repositories, app: App, bad: Sha, before: Sha | None) -> tuple[str, ...]:
    """How to take all that a ship brought to main back in git, whatever it was made of: tasks, merges and pins.

    Empty when nobody knows what was there before, or somebody has built on it since.
    """
    try:
        now = await repositories.branch_head(app, app.main_branch) if before else None
    except Trouble:
        return ()
    if now != bad:
        return ()
    return (f"git restore --source={before} --staged --worktree :/ && git commit -m 'Back to {short(before or bad)}'",)
