"""Secrets from the environment: handed to children by name, masked everywhere else, never shown (spec 9.5)."""

from __future__ import annotations

from collections.abc import Mapping

MASK = "••••"
_SHORTEST = 6  # masking shorter values would punch holes into ordinary words


class Secrets:
    """The values of the credentials that the configuration names, as they were when the process started."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if value.strip()}
        # Line by line, because tools print keys of many lines that way; longest first, so that a secret that
        # contains another is masked whole.
        lines = {line.strip() for value in self._values.values() for line in value.splitlines()}
        self._texts = sorted((line for line in lines if len(line) >= _SHORTEST), key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(f'{name}={MASK}' for name in sorted(self._values))})"

    def has(self, name: str) -> bool:
        """True when the environment had a value that is not blank."""
        return name in self._values

    def reveal(self, name: str) -> str:
        """The value, for the one place that needs it; KeyError when it is not set."""
        return self._values[name]

    def mask(self, text: str) -> str:
        """`text` with every known secret replaced."""
        for secret in self._texts:
            text = text.replace(secret, MASK)
        return text

    def boundary(self, text: str) -> int:
        """How much of `text`, a piece of a stream without line ends, can be masked before the next piece is known."""
        end = max(len(text) - max(map(len, self._texts), default=0), 0)  # none of them contains a line end
        for secret in self._texts:
            start = text.find(secret, max(end - len(secret) + 1, 0))
            if 0 <= start < end:
                end = start + len(secret)
        return end
