"""Turns what people type into the values of the core; every face uses the same words and the same refusals."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar, cast

import msgspec

from core.edits import TaskChanges
from core.errors import Reason, Refused
from core.handoffs import Handoff
from core.reviews import Finding, Severity
from core.tasks import Reported, Task, TaskType, Work
from core.words import nearest, slug_from

Word = TypeVar("Word", bound=StrEnum)
Read = TypeVar("Read", bound=msgspec.Struct)


def known(words: type[Word], what: str, text: str) -> Word:
    """The word that is `text`, whatever its case; Refused, with the nearest one, calls it `what`."""
    by_name = {word.lower(): word for word in words}
    if text.strip().lower() in by_name:
        return by_name[text.strip().lower()]
    raise Refused(_unknown(words, what, text))


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
    return Task(
        slug=slug,
        title=title,
        type=known(TaskType, "type", kind),
        shape=shape,
        works=_works(repositories, slug or slug_from(title)),
        depends_on=tuple(depends_on),
        post_deploy_cmd=post_deploy_cmd,
        acceptance_criteria=acceptance_criteria,
        test_plan=test_plan,
        created_at=datetime.fromtimestamp(0, UTC),
    )


def changes(
    slug: str,
    *,
    kind: str | None = None,
    repositories: Sequence[str] | None = None,
    risks: Sequence[str] | None = None,
    **texts: str | None,
) -> TaskChanges:
    """What an edit sets; None leaves a field as it is. `texts`: the fields of `TaskChanges` that are texts."""
    return TaskChanges(
        type=known(TaskType, "type", kind) if kind else None,
        works=_works(repositories, slug) if repositories else None,
        risk_tags=tuple(risks) if risks is not None else None,
        **texts,
    )


def handoff(*, changed: str, verified: str = "", look_first: str = "", checks: str = "", reported: str = "") -> Handoff:
    """A handoff as it is typed into a form: a check a line; `reported`: model, tokens, cost in USD, `-` for not known.

    Refused when `reported` is anything else.
    """
    return Handoff(
        changed=changed,
        verified=verified,
        look_first=look_first,
        checks=tuple(line.strip() for line in checks.splitlines() if line.strip()),
        reported=_reported(reported),
    )


def findings(text: str) -> tuple[Finding, ...]:
    """A finding a line, `blocker: …`; Refused with every line that does not begin with a severity."""
    found, reasons = list[Finding](), list[Reason]()
    for line in text.splitlines():
        severity, colon, rest = line.strip(" \t-*•").partition(":")
        if colon and severity.strip().lower() in list(Severity):
            found.append(Finding(Severity(severity.strip().lower()), rest.strip()))
        elif line.strip():
            reasons.append(_unknown(Severity, "severity", severity))
    if reasons:
        raise Refused.all(reasons)
    return tuple(found)


def read(text: str | bytes, kind: type[Read], what: str) -> Read:
    """`kind` out of a JSON object; Refused with everything that is wrong in it at once, unknown keys too."""
    try:
        raw = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Refused(
            f"{what} is no JSON object", str(error), f"its keys: {', '.join(kind.__struct_fields__)}"
        ) from error
    if reasons := list(_mistakes(raw, kind, "")):
        raise Refused.all(reasons)
    return msgspec.convert(raw, kind)


def _mistakes(raw: Mapping[str, Any], kind: type[msgspec.Struct], above: str) -> Iterator[Reason]:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name in [name for name, field in fields.items() if field.required and name not in raw]:
        yield missing_key(above + name)
    for name, value in raw.items():
        if name not in fields:
            yield unknown_key(above, name, fields)
        elif isinstance(value, dict) and msgspec.inspect.is_struct_type(fields[name].type):
            yield from _mistakes(cast(Mapping[str, Any], value), fields[name].type, f"{above}{name}.")
        else:
            try:
                msgspec.convert(value, fields[name].type)
            except msgspec.ValidationError as error:
                yield Reason(f"{above}{name} is not what it should be", str(error), f"mend {above}{name}")


def missing_key(place: str) -> Reason:
    """What every face says of a key that has to be there."""
    return Reason(f"{place} is missing", "it has no default", f"give {place}")


def unknown_key(above: str, name: str, known: Collection[str]) -> Reason:
    """What every face says of a key that means nothing below `above` (blank, or with a dot at its end)."""
    guess = nearest(name, known)
    why, next_ = f"known: {', '.join(known) or 'none'}", f"did you mean {guess}?" if guess else "leave it out"
    return Reason(f"unknown key {above + name[:40]!r}", why, next_)


def _works(repositories: Sequence[str], slug: str) -> tuple[Work, ...]:
    return tuple(
        Work(name, given or f"feat/{slug}") for name, _, given in (text.partition("=") for text in repositories)
    )


def _reported(text: str) -> Reported:
    """`opus-4 182000 3.40`: in this order, `-` or nothing where it is not known."""
    words = [word.strip("$,").replace(",", "") for word in text.split()]
    refused = Refused(
        f"{text[:40]!r} is not model, tokens and cost",
        "a name without spaces, a whole number, US dollars",
        "for example: opus-4 182000 3.40, with - for what is not known",
    )
    if len(words) > 3:
        raise refused
    given = zip(("model", "tokens", "cost_usd"), words, strict=False)
    try:  # numbers are words still
        return msgspec.convert({name: word for name, word in given if word not in ("-", "—")}, Reported, strict=False)
    except msgspec.ValidationError as error:
        raise refused from error


def _unknown(words: type[StrEnum], what: str, text: str) -> Reason:
    by_name = {word.lower(): word for word in words}
    guess, every = nearest(text.strip().lower(), by_name), ", ".join(words)
    hint = f"did you mean {by_name[guess]}?" if guess else f"known: {every}"
    return Reason(f"unknown {what} {text[:40]!r}", f"one of {every}", hint)
