"""The OpenAPI 3.1 document of the routes, schemas by msgspec. Pure: the same table gives the same document."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from bot.api.arguments import Schema, closed, is_many, schemas
from bot.api.limits import BODY_BYTES, KEY
from bot.api.problems import CONTENT_TYPE, Problem
from bot.api.routes import Route, for_callers

_ALWAYS = (400, 401, 403, 404, 405, 406, 409, 422, 429, 500, 503)
_OF_WRITES = (413, 415)
_OF_LONG = (502,)
ABOUT = f"""Tasks and release trains, for programs: the same use cases, permissions and words as in Discord and on the
command line. Every write needs an `Idempotency-Key`: the same key and body get the same answer for a week, and are done
once. `-` as a release is the active one. Bodies have at most {BODY_BYTES} bytes. Every answer that is no is a problem
(RFC 9457) whose `reasons` say what, why and what to do next, all at once."""


def document(routes: Sequence[Route]) -> Schema:
    """The whole document."""
    asked = [route.arguments.body for route in routes if route.arguments.body]
    _, requests = schemas(asked)
    _, components = schemas([Problem, *(route.answer for route in routes)])
    known = components | closed(requests)
    for schema in known.values():
        schema["description"] = for_callers(schema.get("description", ""))
    paths: dict[str, dict[str, Schema]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stationmaster", "version": "1", "description": " ".join(ABOUT.split())},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": known,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> Schema:
    (answer,), _ = schemas([route.answer])
    kind = "text/event-stream" if route.streams else "application/json"
    good = {"schema": {"type": "string"} if route.streams else answer}
    codes = _ALWAYS + (_OF_WRITES if route.writes else ()) + (_OF_LONG if route.is_long else ())
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    answers: Schema = {str(int(route.status)): {"description": route.status.phrase, "content": {kind: good}}}
    answers |= {
        str(code): {"description": HTTPStatus(code).phrase, "content": {CONTENT_TYPE: problem}}
        for code in sorted(codes)
    }
    operation: Schema = {
        "operationId": route.name,
        "summary": route.says.partition(". ")[0].partition(";")[0].rstrip("."),
        "description": route.says,
        "tags": [route.owner.__name__],
        "parameters": _parameters(route),
        "responses": answers,
    }
    if body := route.arguments.body:
        (schema,), _ = schemas([body])
        is_required = any(field.required for field in msgspec.structs.fields(body))
        operation["requestBody"] = {"required": is_required, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameters(route: Route) -> list[Schema]:
    found = [_parameter("path", name, kind, True) for name, kind in route.arguments.path.items()]
    found += [_parameter("query", one.name, one.type, one.required) for one in route.arguments.query.values()]
    if route.writes:
        schema = {"type": "string", "pattern": KEY}
        found.append({"in": "header", "name": "Idempotency-Key", "required": True, "schema": schema})
    if route.streams:
        schema = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
        found.append({"in": "header", "name": "Last-Event-ID", "required": False, "schema": schema})
    return found


def _parameter(place: str, name: str, kind: Any, required: bool) -> Schema:
    (schema,), _ = schemas([kind])
    options = [one for one in schema.get("anyOf", [schema]) if one != {"type": "null"}]
    schema = options[0] if len(options) == 1 else {"anyOf": options}
    if place == "path" and schema == {"type": "string"}:
        schema = {"type": "string", "minLength": 1}
    return {"in": place, "name": name, "required": required, "schema": schema} | (
        {"explode": True} if is_many(kind) else {}
    )
