"""What strategies tell people: the end of a log, and advice on git that is true for the commit at hand (L47)."""

from __future__ import annotations

from pathlib import Path

from core.errors import Trouble
from core.ports import Repositories
from core.registry import App, Sha

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


async def revert_commands(repositories: Repositories, app: App, bad: Sha) -> tuple[str, ...]:
    """How to take `bad` back in git, `-m 1` only for a merge; empty when nobody knows its parents."""
    try:
        parents = await repositories.parents(app, bad)
    except Trouble:
        return ()
    mainline = "-m 1 " if len(parents) > 1 else ""
    return (f"git revert --no-edit {mainline}{bad}",) if parents else ()
