"""What is offered while somebody types: at most 25, whole prefixes first, then words of the title. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from discord import app_commands

Choices = list[app_commands.Choice[str]]
_MOST, _LONGEST = 25, 100


def fitting(typed: str, known: Iterable[tuple[str, str]], before: str = "") -> Choices:
    """Choices for (value, what is shown) pairs; `before` is what stands in the field already and stays there."""
    wanted = typed.lower().split()
    ranked = [(rank, value, shown) for value, shown in known if (rank := _rank(wanted, value, shown)) is not None]
    ranked.sort(key=lambda row: row[0])  # stable: the order of `known` is kept within a rank
    offered = [(before + value, before + shown) for _, value, shown in ranked if len(before + value) <= _LONGEST]
    return [app_commands.Choice(name=shown[:_LONGEST], value=value) for value, shown in offered[:_MOST]]


def fitting_last(typed: str, known: Iterable[tuple[str, str]]) -> Choices:
    """The same for the last word of a list with spaces between its words."""
    before, space, last = typed.rpartition(" ")
    taken = before.split()
    return fitting(last, [pair for pair in known if pair[0] not in taken], before + space)


def _rank(wanted: list[str], value: str, shown: str) -> int | None:
    """0: starts with what was typed; 1: every word of it begins a word of what is shown; None: neither."""
    if value.startswith(" ".join(wanted)):
        return 0
    words = shown.lower().replace("-", " ").split()
    return 1 if all(any(word.startswith(one) for word in words) for one in wanted) else None
