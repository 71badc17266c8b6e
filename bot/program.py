"""The program's own version: the released number, and what its files come to, which a checkout changes without one."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def program() -> str:
    """`0.1.0 (1a2b3c4d)`: equal exactly when the code is."""
    root, digest = Path(__file__).parent.parent, hashlib.sha256()
    for folder in ("adapters", "bot", "core"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return f"{version('stationmaster')} ({digest.hexdigest()[:8]})"
