"""What can go wrong, in three words the faces understand: refused, failed, or a question for the operator.

Every trouble says what, why and what to do next; *next* works when typed or pressed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import msgspec


class Reason(msgspec.Struct, frozen=True, order=True):
    """One problem: what is wrong, why it matters or how we know, and what to do next."""

    what: str
    why: str = ""
    next: str = ""

    def __str__(self) -> str:
        return " — ".join(part for part in (self.what, self.why, self.next) if part)


class Trouble(Exception):
    """Something did not go as asked; carries every reason at once, the first one first."""

    exit_code = 1

    def __init__(self, what: str | Reason, why: str = "", next: str = "", *, also: Iterable[Reason] = ()) -> None:
        first = what if isinstance(what, Reason) else Reason(what, why, next)
        self.reasons: tuple[Reason, ...] = (first, *also)
        super().__init__("; ".join(str(reason) for reason in self.reasons))

    @classmethod
    def all(cls, reasons: Iterable[Reason]) -> Self:
        """One trouble out of at least one reason."""
        first, *rest = reasons
        return cls(first, also=rest)


class Refused(Trouble):
    """Nothing was changed. Exit code 2."""

    exit_code = 2


class Forbidden(Refused):
    """The one who asks has not the role for it."""


class NotFound(Refused):
    """What is named is not on record."""


class StepFailed(Trouble):
    """It was tried and did not work; what is known about the world is true. Exit code 1."""


class NeedsOperator(Trouble):
    """It was tried and nobody can tell whether it worked: a person must look. Exit code 3."""

    exit_code = 3


class Unreachable(Trouble):
    """The outside did not answer (or not in a way we understand): *cannot tell*, never *no* (L11). Exit code 1."""


class LeaseLost(Trouble):
    """Another process holds the train now; the one that reads this must stop at once."""

    exit_code = 2
