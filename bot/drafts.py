"""Turns what people type into the values of the core; every face uses the same words and the same refusals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from core.errors import Refused
from core.tasks import Stage, Task, TaskType, Work
from core.words import nearest, slug_from

Word = TypeVar("Word", bound=StrEnum)


def known_stage(text: str) -> Stage:
    """The stage called `text`; Refused names the nearest one."""
    return _known(Stage, "stage", text)


def draft(
    *,
    title: str,
    slug: str,
    kind: str,
    shape: str,
    repositories: Sequence[str],
    depends_on: Sequence[str] = (),
    post_deploy_cmd: str = "",
    acceptance_criteria: str = "",
    test_plan: str = "",
) -> Task:
    """A task to be created. `repositories`: `NAME` or `NAME=BRANCH`; the branch defaults to `feat/<slug>`."""
    branch = f"feat/{slug or (slug_from(title) if any(char.isalnum() for char in title) else 'task')}"
    works = tuple(Work(name, given or branch) for name, _, given in (text.partition("=") for text in repositories))
    return Task(
        slug=slug,
        title=title,
        type=_known(TaskType, "type", kind),
        shape=shape,
        works=works,
        depends_on=tuple(depends_on),
        post_deploy_cmd=post_deploy_cmd,
        acceptance_criteria=acceptance_criteria,
        test_plan=test_plan,
        created_at=datetime.fromtimestamp(0, UTC),
    )


def _known(words: type[Word], what: str, text: str) -> Word:
    known = [str(word) for word in words]
    if text.lower() in known:
        return words(text.lower())
    guess = nearest(text.lower(), known)
    hint = f"did you mean {guess}?" if guess else f"known: {', '.join(known)}"
    raise Refused(f"unknown {what} {text[:40]!r}", f"one of {', '.join(known)}", hint)
