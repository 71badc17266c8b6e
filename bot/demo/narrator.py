"""Tells the demo's terminal what happens: what people would read in Discord, and what the world felt of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bot.release_console import one_line

_EFFECTS = {
    "index.published": "the index has {name} {version} ({filename})",
    "platform.release": "the platform released {app} v{version} at {commit:.7}",
    "platform.boot": "{app} runs {commit:.7}",
    "platform.run": "{app} ran {command!r}, exit {exit}",
    "index.impossible": "IMPOSSIBLE: {filename} before {missing}",
    "platform.impossible": "IMPOSSIBLE: {why}",
}
_MOMENT = re.compile(r"<t:(\d+)(?::[a-zA-Z])?>")
_ESCAPE = re.compile(r"\\(?=[^A-Za-z0-9\s])")  # what keeps foreign text from becoming layout in Discord


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
                self._say(f"    │ {one_line(_ESCAPE.sub('', _MOMENT.sub(_clock, line)))}")
            for attachment in told["attachments"]:
                self._say(f"    │ [file {attachment['filename']}, {attachment['size']} bytes]")


def _clock(found: re.Match[str]) -> str:
    return f"{datetime.fromtimestamp(int(found[1]), UTC).astimezone():%H:%M:%S}"
