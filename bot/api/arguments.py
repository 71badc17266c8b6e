"""What a request tells a use case: read off the use case's signature, and checked whole before anything is called.

The schema that the document publishes is the one that checks (unknown fields are errors), so the two cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from inspect import Parameter, signature
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import jsonschema_rs
import msgspec
from multidict import MultiMapping

from bot.api.problems import Rejected
from bot.drafts import missing_key, unknown_key
from core.errors import Reason
from core.permissions import Actor
from core.words import unstorable

REFS = "#/components/schemas/{name}"
DEEPEST = 16
LONGEST_PAGE = 500
_EXACT = 2**53 - 1  # beyond it, programs disagree about which number was meant (RFC 7493)
_SEE = "GET /openapi.json says what fits"
_PAGE: Any = Annotated[int, msgspec.Meta(ge=1, le=LONGEST_PAGE)]
Schema = dict[str, Any]


class Arguments:
    """The parameters of `use_case` that come from outside: path, query (of a GET) or body (of all others).

    A parameter that is a struct gives its fields to the body. `hides`: fields that are not for clients; `defaults`:
    what they, or others, are when they are not given. `body` is None where the query says it.
    """

    def __init__(
        self,
        use_case: Callable[..., object],
        path: str,
        *,
        in_query: bool,
        hides: frozenset[str] = frozenset(),
        defaults: Mapping[str, object] | None = None,
    ) -> None:
        hints = get_type_hints(use_case)
        _owner, *parameters = signature(use_case).parameters.values()
        self._defaults = defaults or {}
        self._names = tuple(parameter.name for parameter in parameters)
        self.wants_actor = "actor" in self._names
        self.path = {name: hints[name] for name in re.findall(r"{(\w+)}", path)}
        self._structs: dict[str, tuple[type[msgspec.Struct], frozenset[str]]] = {}
        fields: list[tuple[str, Any, Any]] = []
        for parameter in parameters:
            kind: Any = hints[parameter.name]
            if kind is Actor or parameter.name in self.path or parameter.name in hides:
                continue
            if _is_struct(kind):
                seen = [field for field in msgspec.structs.fields(kind) if field.name not in hides]
                self._structs[parameter.name] = kind, frozenset(field.name for field in seen)
                fields += [(field.name, field.type, _default(field)) for field in seen]
            else:
                fields.append((parameter.name, kind, _default(parameter)))
        if in_query:
            fields = [(name, _PAGE if name == "limit" else kind, default) for name, kind, default in fields]
        self._hidden = {name: value for name, value in self._defaults.items() if name in hides}
        said = [(name, kind, self._defaults.get(name, default)) for name, kind, default in fields]
        name = f"{use_case.__name__.title().replace('_', '')}Request"
        self.type = msgspec.defstruct(name, said, frozen=True, kw_only=True, forbid_unknown_fields=True)
        self.query = {field.name: field for field in msgspec.structs.fields(self.type)} if in_query else {}
        self.body = None if in_query else self.type
        self._schema: Schema = {}
        self._validator = None

    def read(self, path: Mapping[str, str], query: MultiMapping[str], body: object) -> dict[str, Any]:
        """Keyword arguments of the use case; Rejected with everything that is wrong at once."""
        problems = list(_unsafe({**path, "query": dict(query), "body": body}))
        if problems:
            raise Rejected(HTTPStatus.UNPROCESSABLE_ENTITY, problems)
        given = {name: self._converted(text, self.path[name], name, problems) for name, text in path.items()}
        asked = self._queried(query, problems)
        if self.body:
            asked = _whole(body)
            problems += self._complaints(body)
        told = None if problems else self._converted(asked, self.type, "the body", problems)
        if told is None:
            raise Rejected(HTTPStatus.UNPROCESSABLE_ENTITY, problems)
        return given | self._spread(told)

    def tell(self, arguments: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
        """The other way round, for a client: what goes into the path, and what into query or body."""
        path = {name: "-" if arguments.get(name) is None else str(arguments[name]) for name in self.path}
        said: dict[str, Any] = {}
        for name, value in arguments.items():
            if name in self._structs:
                said |= {field: getattr(value, field) for field in self._structs[name][1]}
            elif name not in self.path and name != "actor":
                said[name] = value
        fields = {field.name: field for field in msgspec.structs.fields(self.type)}
        return path, {
            name: msgspec.to_builtins(value)
            for name, value in said.items()
            if name in fields and value != _default(fields[name])
        }

    def _spread(self, told: msgspec.Struct) -> dict[str, Any]:
        """The fields of the request, as the parameters that they belong to."""
        fields = msgspec.structs.asdict(told)
        spread: dict[str, Any] = {}
        for name, (kind, seen) in self._structs.items():
            hidden = {field: value for field, value in self._hidden.items() if field in kind.__struct_fields__}
            spread[name] = kind(**{field: fields.pop(field) for field in seen}, **hidden)
        return spread | fields | {name: value for name, value in self._hidden.items() if name in self._names}

    def _queried(self, query: MultiMapping[str], problems: list[Reason]) -> dict[str, Any]:
        """The query, each name converted by itself, so that no mistake hides another one."""
        found: dict[str, Any] = {}
        for name in dict.fromkeys(query):
            field = self.query.get(name)
            values = query.getall(name)
            if field is None:
                problems.append(unknown_key("", name, self.query))
            elif is_many(field.type):
                found[name] = self._converted(values, _given(field.type), name, problems)
            elif len(values) > 1:
                problems.append(Reason(f"{name} is given {len(values)} times", "once is enough", _SEE))
            else:
                found[name] = self._converted(values[0], _given(field.type), name, problems)
        return found

    def _converted(self, value: object, kind: Any, place: str, problems: list[Reason]) -> Any:
        if value == "-" and place in self.path and type(None) in get_args(kind):
            return None
        try:
            return msgspec.convert(value, kind, strict=place == "the body")
        except msgspec.ValidationError as error:
            problems.append(Reason(f"{place}: {error}", "it is not what this takes", _SEE))

    def _complaints(self, body: object) -> Iterator[Reason]:
        """Everything that the published schema has to say against `body`."""
        if self._validator is None:
            (schema,), components = schemas([self.type])
            self._schema = {**schema, "components": {"schemas": closed(components)}}
            self._validator = jsonschema_rs.validator_for(self._schema)
        for error in map(_deepest, self._validator.iter_errors(body)):
            above = "".join(f"{part}." for part in error.instance_path)
            match error.kind.name:
                case "required":
                    yield missing_key(above + error.kind.property)
                case "additionalProperties":
                    known = _properties(self._schema, error.schema_path)
                    yield from (unknown_key(above, name, known) for name in error.kind.unexpected)
                case _:
                    place = above.removesuffix(".") or "the body"
                    yield Reason(f"{place}: {str(error.message)[:300]}", "it is not what this takes", _SEE)


def schemas(kinds: list[Any]) -> tuple[list[Schema], Schema]:
    """A schema for each of `kinds`, and the components that they refer to; whole numbers within what JSON keeps."""
    found, components = msgspec.json.schema_components(kinds, ref_template=REFS, schema_hook=_anything)
    return [_bounded(one) for one in found], cast("Schema", _bounded(components))


def closed(components: Schema) -> Schema:
    """The same, in which what is not named may not be there."""
    return {
        name: {**one, "additionalProperties": False} if "properties" in one else one for name, one in components.items()
    }


def is_many(kind: Any) -> bool:
    """True for a parameter that may be given several times."""
    return get_origin(_given(kind)) not in (None, Annotated)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _anything(kind: type) -> Schema:
    return {"description": "the options of a deploy strategy are its own"}


def _given(kind: Any) -> Any:
    """The type of what is there: in a query, the word `null` is a word."""
    options = [one for one in get_args(kind) if one is not type(None)]
    return options[0] if get_origin(kind) in (Union, UnionType) and len(options) == 1 else kind


def _default(of: Parameter | msgspec.structs.FieldInfo) -> Any:
    if isinstance(of, Parameter):
        return msgspec.NODEFAULT if of.default is Parameter.empty else of.default
    return of.default_factory() if of.default_factory is not msgspec.NODEFAULT else of.default


def _bounded(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_bounded(one) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    said = {key: _bounded(value) for key, value in cast("Schema", schema).items()}
    return {"minimum": -_EXACT, "maximum": _EXACT, **said} if said.get("type") == "integer" else said


def _unsafe(value: object, place: str = "", depth: int = 0) -> Iterator[Reason]:
    """What no database or program downstream should have to cope with, wherever it hides."""
    if depth > DEEPEST:
        yield Reason(f"{place[:60]} is nested too deeply", f"at most {DEEPEST} levels", "say it flatly")
    elif isinstance(value, str) and (reason := unstorable(value)):
        yield Reason(f"{place[:60]}: {reason.what}", reason.why, reason.next)
    elif isinstance(value, dict):
        for key, one in cast("Schema", value).items():
            yield from _unsafe(key, f"a name in {place}" if place else "a name", depth)
            yield from _unsafe(one, f"{place}.{key}".removeprefix("."), depth + 1)
    elif isinstance(value, list):
        for index, one in enumerate(cast("list[object]", value)):
            yield from _unsafe(one, f"{place}.{index}", depth + 1)


def _whole(value: object) -> object:
    """2.0 is a whole number in JSON, and in its schemas."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(one) for one in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in cast("Schema", value).items()}
    return value


def _deepest(error: Any) -> Any:
    """The error of the first way of being right: one of "any of" alone tells nothing."""
    ways: list[list[Any]] = getattr(error.kind, "context", None) or []
    return _deepest(ways[0][0]) if ways and ways[0] else error


def _properties(schema: Any, path: Iterable[str | int]) -> list[str]:
    """The names that the part of `schema` knows in which `path` ends, itself at a word of that part."""
    *parts, _ = path
    for part in parts:
        schema = schema[part]
    return list(schema.get("properties", ()))
