"""The demo's transcript: every Discord message and every effect on the world, one JSON object a line, as it happens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

Listener = Callable[[str, Mapping[str, object]], None]


class Transcript:
    """Appends to files, and tells whoever listens. Lines have `at` (seconds since 1970) and `kind`."""

    def __init__(self, *paths: Path) -> None:
        self._files: list[TextIO] = []
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files.append(path.open("a", encoding="utf-8"))
        self.listeners: list[Listener] = []

    def record(self, kind: str, payload: Mapping[str, object]) -> None:
        """Write one line; whole lines survive a kill."""
        line = json.dumps({"at": round(time.time(), 3), "kind": kind, **payload}, ensure_ascii=False, default=str)
        for file in self._files:
            file.write(line + "\n")
            file.flush()
        for listener in self.listeners:
            listener(kind, payload)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
