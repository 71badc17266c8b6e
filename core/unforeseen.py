"""What nobody foresaw becomes a Trouble here and nowhere else, so that every face can tell of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable
from typing import TypeVar

from core.errors import StepFailed, Trouble

log = logging.getLogger(__name__)
T = TypeVar("T")


class BrokeOff(StepFailed):
    """Something that nobody foresaw; what happened in the world decides."""


async def or_trouble(what: str, act: Awaitable[T], retry: str = "try again") -> T:
    """What `act` gives; whatever it raises beside Trouble comes out as BrokeOff, and lies in the log under its number.

    `what` and `retry` are words for people: what was going on, and how to have it go on.
    """
    try:
        return await act
    except Trouble:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        number = hashlib.sha256(f"{what}: {why}".encode()).hexdigest()[:8]
        log.exception("%s broke off, number %s", what, number, extra={"action": "broke off", "number": number})
        next_ = f"{retry}; if it breaks off again, report it as a bug: the log has it as number {number}"
        raise BrokeOff(f"{what} broke off", why, next_) from error
