"""What helps while somebody types a command: what fits, at most 25 of it, and what every field means. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from discord import app_commands

Choices = list[app_commands.Choice[str]]
MOST = 25
_LONGEST = 100
_FIELDS = {
    "acceptance": "what must be true when it is done",
    "after": "the slug with which the list before ended",
    "bidder": "for whom you bid",
    "builder": "only what this person or program builds",
    "local_url": "where its work can be seen on the builder's machine",
    "on": "the task that must ship with or before it",
    "production_url": "where it can be seen in production",
    "qa_url": "where it can be seen on QA",
    "reason": "what is in its way",
    "release": "which train, by its name; may be left out",
    "repository": "only what touches this repository",
    "seat": "heavy is the primary review; two seats are two people",
    "shape": "the kind of change, which says what tests it owes",
    "size": "S, M, L or XL",
    "slug": "its name for ever: a-z, 0-9 and -; left out: made from the title",
    "stage": "designed, building, submitted and so on",
    "task": "its slug; words of its title find it",
    "tests": "how it will be tested",
    "text": "what you have to say",
    "title": "what it is about, in a few words",
    "type": "feature, bug, chore or docs",
    "verdict": "request-changes sends it back to its builder",
    "words": "words of its slug or title, or how they begin",
    "worktree": "the slug of the worktree where it is built",
}


def explain_fields(command: app_commands.Group | app_commands.Command[Any, ..., Any]) -> None:
    """Give the fields that are described nowhere else the words that they have in every command."""
    leaves = command.walk_commands() if isinstance(command, app_commands.Group) else (command,)
    for leaf in leaves:
        if isinstance(leaf, app_commands.Command):
            own = {field.name: str(field.description) for field in leaf.parameters if str(field.description) != "…"}
            bare = {field.name: _FIELDS[field.display_name] for field in leaf.parameters if field.name not in own}
            app_commands.describe(**own, **bare)(leaf)  # it forgets what it is not told again


def offered(pairs: Iterable[tuple[str, str]], before: str = "") -> Choices:
    """Choices for (value, what is shown) pairs; `before` is what stands in the field already and stays there."""
    fit = [(before + value, before + shown) for value, shown in pairs if len(before + value) <= _LONGEST]
    return [app_commands.Choice(name=shown[:_LONGEST], value=value) for value, shown in fit[:MOST]]


def fitting(typed: str, known: Iterable[tuple[str, str]], before: str = "") -> Choices:
    """Those of the known pairs that fit what was typed."""
    wanted = typed.lower().split()
    ranked = [(rank, value, shown) for value, shown in known if (rank := _rank(wanted, value, shown)) is not None]
    ranked.sort(key=lambda row: row[0])  # stable: the order of `known` is kept within a rank
    return offered([(value, shown) for _, value, shown in ranked], before)


def last_word(typed: str) -> tuple[str, str]:
    """(What stands before, the last word) of a list with spaces between its words."""
    before, space, last = typed.rpartition(" ")
    return before + space, last


def _rank(wanted: list[str], value: str, shown: str) -> int | None:
    """0: starts with what was typed; 1: every word of it begins a word of what is shown; None: neither."""
    if value.startswith(" ".join(wanted)):
        return 0
    words = shown.lower().replace("-", " ").split()
    return 1 if all(any(word.startswith(one) for word in words) for one in wanted) else None
