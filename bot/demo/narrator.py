"""Tells the demo's terminal what happens: what people would read in Discord, and what the world felt of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bot.console import one_line

_EFFECTS = {
    "index.published": "the index has {name} {version} ({filename})",
    "platform.release": "the platform released {app} v{version} at {commit:.7}",
    "platform.boot": "{app} runs {commit:.7}",
    "platform.run": "{app} ran {command!r}, exit {exit}",
    "index.impossible": "IMPOSSIBLE: {filename} before {missing}",
    "platform.impossible": "IMPOSSIBLE: {why}",
}


class Narrator:
    """Prints every message once, as soon as it says something, and every effect; later edits are the board's."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: set[str] = set()

    def hear(self, kind: str, told: Mapping[str, Any]) -> None:
        """One event of the transcript."""
        if kind in _EFFECTS:
            self._say(f"      · {_EFFECTS[kind].format(**told)}")
        elif kind in ("discord.message", "discord.edit") and told["text"] and told["id"] not in self._told:
            self._told.add(told["id"])
            place = f"🧵 {told['thread']}" if told.get("thread") else f"#{told['channel']}"
            whisper = f" (only {told['to']} sees this)" if told["ephemeral"] else ""
            self._say(f"  {place}{whisper}")
            for line in told["text"].splitlines():
                self._say(f"    │ {one_line(line)}")
            for attachment in told["attachments"]:
                self._say(f"    │ [file {attachment['filename']}, {attachment['size']} bytes]")
