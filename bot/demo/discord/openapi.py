"""Checks every request of the bot, and every answer of ours, against Discord's OpenAPI document.

Requests are checked strictly: a key the document does not know is a mistake. Relaxed only where discord.py is known to
differ from the document and Discord accepts it (discord.md 5).
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from bot.demo.discord.protocol import Payload

_ALSO_SENT = {
    "MessageEditRequestPartial": ["tts"],
    "IncomingWebhookUpdateForInteractionCallbackRequestPartial": ["tts"],
    "IncomingWebhookUpdateRequestPartial": ["tts"],
    "RichEmbed": ["flags"],
    "ApplicationCommandUpdateRequest": ["nsfw"],
    "MessageAttachmentRequest": ["proxy_url", "size", "url", "spoiler", "content_type"],
}


class OpenApi:
    """Discord's published document, ready to judge."""

    def __init__(self, document: Payload) -> None:
        self._paths: Payload = document["paths"]
        self._answers = document["components"]
        self._requests = _strict(document["components"])
        self._validators: dict[tuple[str, str, str], jsonschema_rs.Validator | None] = {}
        literal_first = sorted(self._paths, key=lambda path: (path.count("{"), path))
        self._routes = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in literal_first]

    def request_mistakes(self, method: str, path: str, query: Mapping[str, str], body: object) -> Iterator[str]:
        """What is wrong with a request; `path` is below /api/v10, `body` the decoded JSON or None."""
        known = self._path(path)
        operation: Payload | None = self._paths[known].get(method.lower()) if known else None
        if known is None or operation is None:
            yield f"{method} {path}: no such endpoint"
            return
        parameters = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
        for name in query.keys() - parameters:
            yield f"{method} {path}: unknown query parameter {name}"
        content: Payload = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if body is not None or operation.get("requestBody", {}).get("required"):
            yield from self._mistakes(f"{method} {path}", (method, known, "request"), schema, self._requests, body)

    def answer_mistakes(self, method: str, path: str, status: int, body: object) -> Iterator[str]:
        """What is wrong with our own answer to a request that the document knows."""
        known = self._path(path)
        operation: Payload = self._paths[known].get(method.lower(), {}) if known else {}
        where = f"{method} {path} -> {status}"
        if status >= 400 or not operation:
            return
        if str(status) not in operation["responses"]:
            yield f"{where}: status is not in the document"
            return
        schema = operation["responses"][str(status)].get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            if body is not None:
                yield f"{where}: has a body"
            return
        yield from self._mistakes(where, (method, known or "", str(status)), schema, self._answers, body)

    def _path(self, path: str) -> str | None:
        return next((known for pattern, known in self._routes if pattern.fullmatch(path)), None)

    def _mistakes(
        self, where: str, key: tuple[str, str, str], schema: Payload | None, components: Payload, body: object
    ) -> Iterator[str]:
        if schema is None:
            yield f"{where}: takes no body"
            return
        if key not in self._validators:
            self._validators[key] = jsonschema_rs.validator_for({**schema, "components": components})
        validator = self._validators[key]
        for error in validator.iter_errors(body) if validator else ():
            place = "/".join(map(str, error.instance_path))
            yield f"{where}: {place}: {_deepest(error)}"


@cache
def load_openapi() -> OpenApi | None:
    """The document in tests/data of this repository, once per process; None when it is not there."""
    path = Path(__file__).parents[3] / "tests/data/discord-openapi.json"
    return OpenApi(json.loads(path.read_bytes())) if path.is_file() else None


def _strict(components: Payload) -> Payload:
    schemas: Payload = copy.deepcopy(components["schemas"])
    for name, schema in schemas.items():
        if schema.get("type") == "object" and "properties" in schema:
            schema["unevaluatedProperties"] = False
            schema["properties"] |= dict.fromkeys(_ALSO_SENT.get(name, []), True)
    schemas["SnowflakeType"]["type"] = ["string", "integer"]
    return {**components, "schemas": schemas}


def _deepest(error: Any) -> str:
    """The message of the branch that came closest: an error of "any of" alone says nothing."""
    best = str(error.message)
    branches: list[list[Any]] = getattr(error.kind, "context", None) or []
    if branches:
        closest = min(branches, key=lambda branch: (len(branch), -max(len(each.instance_path) for each in branch)))
        best = f"{'/'.join(map(str, closest[0].instance_path))}: {_deepest(closest[0])}"
    return best[:300]
