"""YAML that Ruby wrote and a stranger may have touched: tags are passed over, and nothing is ever constructed."""

from __future__ import annotations

from typing import Any, TypeAlias

import yaml

from core.errors import Refused

Tree: TypeAlias = "str | list[Tree] | dict[str, Tree]"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 100


def read(text: bytes, file: str) -> Tree:
    """The texts, lists and mappings of a document, those of an alias shared; of a key that comes twice, the last.

    Refused, with `file`, when it is no YAML. Event by event: whatever composes a tree calls itself at every level, and
    a document that is nested deep enough takes the process along.
    """
    root: list[Tree] = []
    open_, known = [_Open(root)], dict[str, Tree]()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionEndEvent):
                open_.pop()
            elif isinstance(event, yaml.NodeEvent):
                anchor = event.anchor or ""
                made = known.get(anchor, "") if isinstance(event, yaml.AliasEvent) else _made(event)
                known[anchor] = made
                open_[-1].take(made)
                if isinstance(event, yaml.CollectionStartEvent):
                    open_.append(_Open(made))
            if len(open_) > _DEEPEST:
                raise yaml.YAMLError("it is nested too deep")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        what = f"the specification in {file} cannot be read"
        raise Refused(what, str(error), "build it anew, then release prepare") from None
    return root[0] if root else ""


def _made(event: yaml.NodeEvent) -> Tree:
    match event:
        case yaml.SequenceStartEvent():
            return []
        case yaml.MappingStartEvent():
            return {}
        case _:
            return event.value if isinstance(event, yaml.ScalarEvent) else ""


class _Open:
    """A list or mapping that is being read."""

    def __init__(self, held: Tree) -> None:
        self._held = held
        self._key: Tree | None = None

    def take(self, value: Tree) -> None:
        """The next element; of a mapping a key, or what belongs to the key before. A key is a text, or ignored."""
        if isinstance(self._held, list):
            self._held.append(value)
        elif self._key is None:
            self._key = value
        elif isinstance(self._held, dict):
            if isinstance(self._key, str):
                self._held[self._key] = value
            self._key = None
