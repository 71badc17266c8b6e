"""One YAML file, read strictly: its values, the line of each, and every problem, as a reason with file, line and key.

A plain word means what YAML 1.2 says and no more: `yes`, `on`, `0123`, `12:30` and dates stay text, so a typed field
refuses them instead of bending them. Aliases, tags and duplicate keys are refused. A text is repeated in a reason only
where it looks like a known word: it may be a secret that was pasted into the wrong place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.errors import Reason
from core.words import nearest

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"
Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

LARGEST_BYTES = 256 * 1024
DEEPEST = 20
_PLAIN_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,29})")
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,29})(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_TEXT, _LIST, _MAPPING = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_HINTS = {
    "string_type": "put it in quotes",
    "bool_type": "write true or false",
    "int_type": "write the digits without quotes and without leading zeros",
}


class YamlFile:
    """A file and what it says; everything wrong with it is appended to `problems`, nothing is raised."""

    def __init__(self, path: Path, problems: list[Reason]) -> None:
        self.path = path
        self._problems = problems
        self._lines: dict[Place, int] = {}
        self._root = self._read()

    @property
    def is_readable(self) -> bool:
        """False when there is nothing to check because the file is missing, empty or no YAML mapping."""
        return self._root is not None

    def at(self, *place: str | int) -> Value:
        """What stands at `place`; None when nothing does."""
        here: Value = self._root
        for step in place:
            here = here.get(step) if isinstance(here, dict) and isinstance(step, str) else None
        return here

    def mapping(self, *place: str | int) -> dict[str, Value]:
        """The mapping at `place`; empty when there is none (`check` of what is around it says so)."""
        found = self.at(*place)
        return found if isinstance(found, dict) else {}

    def check(self, model: type[Model], *place: str | int) -> Model | None:
        """What stands at `place` as a `model` (an absent value counts as an empty mapping); None after complaining."""
        if not self.is_readable:
            return None
        value = self.at(*place)
        try:
            return model.model_validate({} if value is None else value)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._translate(model, place, detail)
            return None

    def complain(self, place: Place, what: str, why: str = "", next: str = "") -> None:
        """Append one problem with file, line (of the nearest known key) and dotted path; `next` has a plain default."""
        line = _line_of(self._lines, place)
        where = f"{self.path}:{line}" if line else str(self.path)
        self._problems.append(
            Reason(": ".join(filter(None, (where, _dotted(place), what))), why, next or "correct it there")
        )

    def _read(self) -> dict[str, Value] | None:
        try:
            with self.path.open("rb") as file:
                content = file.read(LARGEST_BYTES + 1)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            what = "is missing" if missing else f"cannot be read: {error.strerror}"
            next_ = "copy it from config/ of stationmaster's repository and edit it"
            self.complain((), what, "", f"{next_}, or name the folder of yours in STATIONMASTER_CONFIG")
            return None
        if len(content) > LARGEST_BYTES:
            self.complain((), f"is larger than {LARGEST_BYTES // 1024} KiB", "no configuration is", "split or clean it")
            return None
        try:
            node = yaml.compose(content.decode("utf-8-sig"), Loader=_Composer)
        except UnicodeDecodeError as error:
            self.complain((), f"is not UTF-8 at byte {error.start}", "", "save it as UTF-8")
        except yaml.MarkedYAMLError as error:
            if mark := error.problem_mark or error.context_mark:
                self._lines[()] = mark.line + 1
            where = f" at column {mark.column + 1}" if mark else ""
            self.complain((), f"malformed YAML{where}: {error.problem}", error.context or "", "correct this line")
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # an impossible character, or its escape
            self.complain((), "malformed YAML", str(error).splitlines()[0], "remove this character")
        else:
            root = self._value(node, ()) if node else None
            if isinstance(root, dict):
                return root
            self.complain((), "is empty" if root is None else "is not a mapping", "", "see the example beside it")
        return None

    def _value(self, node: yaml.Node, place: Place) -> Value:
        self._lines.setdefault(place, node.start_mark.line + 1)
        match node:
            case yaml.MappingNode(tag=tag) if tag == _MAPPING:
                return self._mapping(node, place)
            case yaml.SequenceNode(tag=tag) if tag == _LIST:
                items: list[yaml.Node] = node.value
                return [self._value(item, (*place, index)) for index, item in enumerate(items)]
            case yaml.ScalarNode(tag=tag) if tag == _TEXT:
                return self._scalar(node, place)
            case _:
                self.complain(place, "has a tag", "tags could create anything", "remove the word that begins with !")
                return None

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Value]:
        found: dict[str, Value] = {}
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        for key_node, value_node in pairs:
            if not isinstance(key_node, yaml.ScalarNode):
                self.complain(place, "has a key that is not text", "", "write `key: value`")
                continue
            key = str(key_node.value)
            if key in found:
                first, again = self._lines[(*place, key)], key_node.start_mark.line + 1
                self.complain(
                    (*place, key), f"appears twice, again on line {again}", f"first on line {first}", "keep one"
                )
                continue
            self._lines[(*place, key)] = key_node.start_mark.line + 1
            found[key] = self._value(value_node, (*place, key))
        return found

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Value:
        text = str(node.value)
        if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\t\n" for char in text):
            self.complain(place, "holds a character that cannot be printed", "", "remove it")
            return ""
        if node.style is not None:  # quoted or block: text, whatever it looks like
            return text
        if text in _PLAIN_WORDS:
            return _PLAIN_WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        return float(text) if _NUMBER.fullmatch(text) else text

    def _translate(self, model: type[BaseModel], place: Place, error: ErrorDetails) -> None:
        kind, given = error["type"], error.get("input")
        where = self._place_of(error["loc"], place, is_missing=kind == "missing")
        if kind == "extra_forbidden":
            key, known = str(where[-1]), _known_keys(model, error["loc"][:-1])
            self.complain(where, "unknown key", f"known here: {', '.join(known)}", _suggestion(key, known))
        elif kind == "missing":
            self.complain(where[:-1], f"needs {where[-1]}", "", f"add `{where[-1]}: …`")
        elif (known := _known_words(error)) is not None:
            self.complain(where, f"is not one of {', '.join(known)}", "", _suggestion(str(given), known))
        elif kind in ("model_type", "dict_type"):
            self.complain(where, "must be a mapping", "", "write `key: value` lines below it")
        else:
            shown = f", not {given}" if isinstance(given, int | float) else ""
            what = error["msg"].replace("Input should be", "must be").replace("Value error, ", "")
            self.complain(where, what + shown, "", _HINTS.get(kind, ""))

    def _place_of(self, location: Place, place: Place, *, is_missing: bool) -> Place:
        """Where pydantic's `location` below `place` is in the file: it also names union members and `[key]`."""
        for step in location:
            if (*place, step) in self._lines or (is_missing and step == location[-1]):
                place = (*place, step)
        return place


class _Composer(yaml.BaseLoader):
    """Composes nodes without resolving anything; refuses what only serves to blow a file up."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = cast("yaml.Event", self.peek_event())  # pyright: ignore[reportUnknownMemberType]
        mark = cast("yaml.Mark", event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(None, None, "aliases are not read here: write it out", mark)
        if self._depth == DEEPEST:
            raise yaml.MarkedYAMLError(None, None, f"nested deeper than {DEEPEST} levels", mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _line_of(lines: dict[Place, int], place: Place) -> int | None:
    """The line of `place`, or of the nearest thing around it."""
    return next((lines[place[:end]] for end in range(len(place), -1, -1) if lines.get(place[:end])), None)


def _dotted(place: Place) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def _known_keys(model: type[BaseModel], location: Iterable[str | int]) -> list[str]:
    here = model
    for step in location:
        if field := here.model_fields.get(str(step)):
            here = _model_within(field.annotation) or here
    return list(here.model_fields)


def _model_within(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_within, get_args(annotation))), None)


def _known_words(error: ErrorDetails) -> list[str] | None:
    """The words that would have been right, when the error is about one of a few."""
    context = error.get("ctx", {})
    if error["type"] in ("literal_error", "enum"):
        return re.findall(r"'([^']*)'", str(context.get("expected")))
    return context.get("known")


def _suggestion(word: str, known: Sequence[str]) -> str:
    guess = nearest(word, known)
    return f"you wrote {word!r}: did you mean {guess}?" if guess else ""
