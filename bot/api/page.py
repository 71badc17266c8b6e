"""The readable page of the API at `/`: no scripts, nothing fetched, for screens of every size. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Any, cast

from bot.api.arguments import Schema
from bot.api.openapi import document
from bot.api.problems import kinds
from bot.api.routes import Route, for_callers

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STYLE = """:root{color-scheme:light dark}body{font:1rem/1.5 system-ui;max-width:60rem;margin:0 auto;padding:1rem}
pre,code{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow-x:auto;padding:.75rem;border:1px solid #8888}
h3{overflow-wrap:anywhere}table{border-collapse:collapse;display:block;overflow-x:auto}
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0}"""
_SECTIONS = {"Board": "Tasks", "Conductor": "Releases", "Doorkeeper": "Tokens and people"}


def page(routes: Sequence[Route]) -> str:
    """The whole page."""
    said = document(routes)
    by_section = sorted(routes, key=lambda route: list(_SECTIONS).index(route.owner.__name__))
    sections = [
        (_SECTIONS[owner], list(found)) for owner, found in groupby(by_section, key=lambda route: route.owner.__name__)
    ]
    index = "".join(
        f'<li><a href="#{title.lower()}">{title}</a></li>' for title in [*dict(sections), "Problems", "Shapes"]
    )
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
{"".join(_section(title, (_route(route, said) for route in found)) for title, found in sections)}
{_section("Problems", _problems(said))}
{_section("Shapes", _shapes(routes, said["components"]["schemas"]))}
</main></body></html>
"""


def _section(title: str, articles: Iterable[str]) -> str:
    return f'<section id="{title.lower()}"><h2>{title}</h2>{"".join(articles)}</section>'


def _route(route: Route, said: Schema) -> str:
    known = said["components"]["schemas"]
    operation = said["paths"][route.path][route.method.lower()]
    rows = [_row(one["name"], one["in"], one["schema"], known, one["required"]) for one in operation["parameters"]]
    if route.arguments.body:
        schema = known[route.arguments.body.__name__]
        needed = schema.get("required", [])
        rows += [_row(name, "body", one, known, name in needed) for name, one in schema["properties"].items()]
    ((kind, content),) = operation["responses"][str(int(route.status))]["content"].items()
    answer = "events as they happen" if route.streams else _kind(content["schema"], known)
    return f"""<article id="{route.name}"><h3><code>{route.method} {escape(route.path)}</code></h3>
<p>{_prose(route.says)}</p>{_table(("name", "in", "what"), rows)}
<p>Answers {int(route.status)}, <code>{kind}</code>: {answer}</p></article>
"""


def _problems(said: Schema) -> Iterator[str]:
    """Where the `type` of a problem leads to."""
    yield "<p>An answer that is no says which of these it is, in its <code>type</code>.</p>"
    codes = {int(code) for path in said["paths"].values() for one in path.values() for code in one["responses"]}
    for kind, means in sorted(kinds(code for code in codes if code >= 400).items()):
        yield f'<article id="{kind}"><h3><code>{kind}</code></h3><p>{_prose(for_callers(means))}</p></article>\n'


def _shapes(routes: Sequence[Route], known: Schema) -> Iterator[str]:
    """What answers are made of; the bodies of requests stand at their routes."""
    bodies = {route.arguments.body.__name__ for route in routes if route.arguments.body}
    for name, schema in sorted(known.items()):
        if "properties" in schema and name not in bodies:
            rows = [_row(field, "", one, known) for field, one in schema["properties"].items()]
            about = _prose(schema["description"])
            yield f'<article id="{name}"><h3>{name}</h3><p>{about}</p>{_table(("name", "what"), rows)}</article>\n'


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _table(titles: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th scope=col>{title}</th>" for title in titles)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>" if rows else ""


def _row(name: str, place: str, schema: Schema, known: Schema, required: bool = True) -> str:
    cells = [f"<code>{escape(name)}</code>", *([place] if place else [])]
    cells.append(_kind(schema, known) + ("" if required else ", may be left out"))
    return f"<tr><td>{'</td><td>'.join(cells)}</td></tr>"


def _kind(schema: Schema, known: Schema) -> str:
    """A schema in a few words, as HTML; what has fields of its own is a link to them."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>' if "properties" in known[name] else _kind(known[name], known)
    if "anyOf" in schema:
        return " or ".join(_kind(one, known) for one in cast("list[Any]", schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(escape(str(one)) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), known)}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object, each value {_kind(schema['additionalProperties'], known)}"
    return escape(str(schema.get("type", "anything")))
