"""The words of Discord's wire that all parts of the loopback share: payloads, endpoints, errors, permissions, ids."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntFlag
from typing import Any, cast

Payload = dict[str, Any]
"""One JSON object as Discord sends it; its shape is Discord's, checked by `openapi` and not by the type checker."""

HAS_THREAD, EPHEMERAL, LOADING, COMPONENTS_V2 = 1 << 5, 1 << 6, 1 << 7, 1 << 15
"""Message flags: a thread hangs on it, only for one person, "is thinking…", laid out by components alone."""

THREAD = 11
"""Channel type of a public thread."""

_DISCORD_EPOCH_MS = 1_420_070_400_000
_ticket = itertools.count()


class Permission(IntFlag):
    """The permission bits the loopback enforces."""

    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    CREATE_PUBLIC_THREADS = 1 << 35
    SEND_MESSAGES_IN_THREADS = 1 << 38
    PIN_MESSAGES = 1 << 51


class ApiError(Exception):
    """An error answer of the REST API: HTTP status, Discord's own code, and for 50035 the list of broken rules."""

    def __init__(self, status: int, code: int, message: str, reasons: list[str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Payload = {"code": code, "message": message}
        if reasons:
            self.body["errors"] = {"_errors": [{"code": code, "message": reason} for reason in reasons]}


@dataclass(frozen=True)
class Upload:
    """One file of a multipart request."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Call:
    """One request of the bot: path variables, query, decoded JSON body ({"list": …} for an array), uploaded files."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Payload
    files: Mapping[int, Upload]


Answer = tuple[int, object]
"""Status and JSON body; None is no body."""


@dataclass(frozen=True)
class Route:
    """One endpoint: `kind` names its rate-limit bucket; public ones carry a token in the path instead of a header."""

    method: str
    path: str
    handle: Callable[[Call], Answer]
    kind: str = "other"
    is_public: bool = False


def invalid_form(reasons: list[str]) -> ApiError:
    """The 400 answer (code 50035) to a payload that breaks a rule."""
    return ApiError(400, 50035, "Invalid Form Body", reasons)


def without_nulls(value: Any) -> Any:
    """The value without keys that are null, at any depth: Discord tells them as absent."""
    match value:
        case dict():
            fields = cast(Payload, value)
            return {key: without_nulls(each) for key, each in fields.items() if each is not None}
        case list():
            return [without_nulls(each) for each in cast(list[Any], value)]
        case _:
            return value


def snowflake() -> str:
    """A fresh id: milliseconds since Discord's epoch, then a counter, so that ids sort by time."""
    return str((int(time.time() * 1000) - _DISCORD_EPOCH_MS << 22) | next(_ticket) % (1 << 22))


def age_seconds(snowflake_id: str) -> float:
    """How long ago this id was made."""
    return time.time() - ((int(snowflake_id) >> 22) + _DISCORD_EPOCH_MS) / 1000


def now() -> str:
    return datetime.now(UTC).isoformat()
