"""The readable page of the API at `/`: no scripts, nothing fetched, for screens of every size. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import Any, cast

from bot.api.arguments import Schema
from bot.api.openapi import document
from bot.api.routes import Route

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STYLE = """:root{color-scheme:light dark}body{font:1rem/1.5 system-ui;max-width:60rem;margin:0 auto;padding:1rem}
pre,code{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow-x:auto;padding:.75rem;border:1px solid #8888}
h3{overflow-wrap:anywhere}table{border-collapse:collapse;display:block;overflow-x:auto}
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0}summary{padding:.5rem 0;cursor:pointer}"""
_SECTIONS = {"Board": "Tasks", "Conductor": "Releases", "Doorkeeper": "Tokens"}


def page(routes: Sequence[Route]) -> str:
    """The whole page."""
    said = document(routes)
    by_section = sorted(routes, key=lambda route: list(_SECTIONS).index(route.owner.__name__))
    sections = [
        (_SECTIONS[owner], list(found)) for owner, found in groupby(by_section, key=lambda route: route.owner.__name__)
    ]
    index = "".join(f'<li><a href="#{title.lower()}">{title}</a></li>' for title, _ in sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stationmaster API</title><style>{_STYLE}</style></head><body>
<header><h1>Stationmaster API</h1></header><main>
<p>{_prose(said["info"]["description"])}</p>
<p>The same for programs: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>
<pre>curl -sS "$STATIONMASTER_URL/v1/tasks?stage=designed" -H "Authorization: Bearer $STATIONMASTER_TOKEN"
curl -sS "$STATIONMASTER_URL/v1/tasks/SLUG/start" -H "Authorization: Bearer $STATIONMASTER_TOKEN" \\
     -H "Idempotency-Key: $(uuidgen)" -X POST</pre>
<nav aria-label="Sections"><ul>{index}</ul></nav>
{"".join(_section(title, found, said) for title, found in sections)}
</main></body></html>
"""


def _section(title: str, routes: Sequence[Route], said: Schema) -> str:
    return f'<section id="{title.lower()}"><h2>{title}</h2>{"".join(_route(route, said) for route in routes)}</section>'


def _route(route: Route, said: Schema) -> str:
    known = said["components"]["schemas"]
    operation = said["paths"][route.path][route.method.lower()]
    rows = "".join(
        _row(one["name"], one["in"], _kind(one["schema"], known), one["required"]) for one in operation["parameters"]
    )
    if route.arguments.body:
        schema = known[route.arguments.body.__name__]
        needed = schema.get("required", [])
        rows += "".join(
            _row(name, "body", _kind(one, known), name in needed) for name, one in schema["properties"].items()
        )
    content = operation["responses"][str(int(route.status))]["content"]
    answer = escape(json.dumps(content, indent=1))
    table = (
        f"<table><thead><tr><th scope=col>name</th><th scope=col>in</th><th scope=col>what</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
    return f"""<article id="{route.name}"><h3><code>{route.method} {escape(route.path)}</code></h3>
<p>{_prose(route.says)}</p>
{table if rows else ""}<details><summary>Answer {int(route.status)}</summary><pre>{answer}</pre></details></article>
"""


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _row(name: str, place: str, what: str, required: bool) -> str:
    need = "" if required else ", may be left out"
    return f"<tr><td><code>{escape(name)}</code></td><td>{place}</td><td>{escape(what)}{need}</td></tr>"


def _kind(schema: Schema, known: Schema) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return _kind(known[str(schema["$ref"]).rpartition("/")[2]], known)
    if "properties" in schema:
        return f"{{{', '.join(schema['properties'])}}}"
    if "anyOf" in schema:
        return " or ".join(_kind(one, known) for one in cast("list[Any]", schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(str(one) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), known)}"
    return str(schema.get("type", "anything"))
