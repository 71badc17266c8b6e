"""Messages and forms as values: what the screens make, the outbox stores, and `bot.layout` hands to the library.

Either content with embeds (release notes, finished steps), or a card of text blocks with buttons under it; a card
cannot carry content. The limits of Discord are kept here, whatever a screen puts in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

CONTENT_LIMIT, CARD_LIMIT, EMBED_LIMIT, EMBEDS_LIMIT = 2000, 3900, 4000, 5900
MOST_BLOCKS, MOST_EMBEDS, MOST_LOGS = 20, 9, 5
FIELD_LIMIT, LABEL_LIMIT, HINT_LIMIT = 4000, 45, 100


class Colour(StrEnum):
    """Never the only sign of anything: a word always says the same."""

    PLAIN = "4f545c"
    BUSY = "3366ff"
    GOOD = "2e8b57"
    BAD = "cc3333"
    WARNING = "d9a400"


class Act(StrEnum):
    """What a button of a train does, or one of a task: one enum, because the outbox can tell apart no two of texts."""

    SHIP = "ship"
    CANCEL = "cancel"
    RESUME = "resume"
    HAPPENED = "happened"
    AGAIN = "again"
    PAGE = "page"
    EDIT = "edit"
    HANDOFF = "handoff"
    REVIEW = "review"


TASK_ACTS = (Act.PAGE, Act.EDIT, Act.HANDOFF, Act.REVIEW)
TRAIN_ACTS = tuple(act for act in Act if act not in TASK_ACTS)


class Button(msgspec.Struct, frozen=True):
    """One button, or the form it opens. `of`: slug of its release or task.

    `mark`: what it was made for: a plan (its digest), an attempt or page (its number), a revision, a reviewer's seat.
    """

    label: str
    act: Act
    of: str
    mark: str = ""
    danger: bool = False

    @property
    def custom_id(self) -> str:
        """Its whole state, so that it works after every restart (spec 9.2)."""
        return f"{'rel' if self.act in TRAIN_ACTS else 'task'}:{self.act}:{self.of}:{self.mark}"


CUSTOM_ID = re.compile(
    rf"(rel:(?P<train>{'|'.join(TRAIN_ACTS)})|task:(?P<task>{'|'.join(TASK_ACTS)})):(?P<of>[a-z0-9-]{{1,48}}):(?P<mark>[0-9a-z.-]{{0,40}})"
)


def button_of(found: re.Match[str], label: str) -> Button:
    """The button whose custom id was `found` by `CUSTOM_ID`."""
    return Button(label, Act(found["train"] or found["task"]), found["of"], found["mark"])


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One text input of a form, filled with `value` when it opens; `name` comes back with what was typed."""

    name: str
    label: str
    hint: str = ""
    value: str = ""
    is_short: bool = False
    is_needed: bool = False


class Form(msgspec.Struct, frozen=True):
    """What somebody fills in; `opener` is the button that opens it again, and its custom id."""

    title: str
    opener: Button
    fields: tuple[Field, ...]


def filled(form: Form, typed: Mapping[str, str]) -> Form:
    """The same with what somebody typed before."""
    fields = [msgspec.structs.replace(one, value=typed.get(one.name, one.value)) for one in form.fields]
    return msgspec.structs.replace(form, fields=tuple(fields))


class Card(msgspec.Struct, frozen=True):
    """An embed under the content."""

    title: str
    text: str
    colour: Colour = Colour.PLAIN


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `calls`: mentions (`<@1>`, `<@&2>`) of those it really rings for; nobody else is ever pinged.

    `logs`: paths of files that go along, as far as they are there. `attached`: name and text of a file made for it.
    """

    content: str = ""
    cards: tuple[Card, ...] = ()
    blocks: tuple[str, ...] = ()
    buttons: tuple[Button, ...] = ()
    colour: Colour = Colour.PLAIN
    calls: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    attached: tuple[str, str] | None = None


def card(
    *blocks: str,
    colour: Colour = Colour.PLAIN,
    buttons: Sequence[Button] = (),
    calls: Iterable[str] = (),
    logs: Sequence[str] = (),
    attached: tuple[str, str] | None = None,
) -> Message:
    """A card of the blocks that are not blank, inside the limits: what comes last is cut first."""
    kept, room = list[str](), CARD_LIMIT
    for block in [block for block in blocks if block.strip()][:MOST_BLOCKS]:
        if room < 40:
            break
        kept.append(_fitted(block, room))
        room -= len(kept[-1])
    return Message(
        blocks=tuple(kept),
        buttons=tuple(buttons),
        colour=colour,
        calls=tuple(dict.fromkeys(calls)),
        logs=tuple(logs)[:MOST_LOGS],
        attached=attached,
    )


def pages(content: str, cards: Sequence[Card]) -> list[Message]:
    """Content, then the cards, over as many messages as their limits ask for."""
    found, batch = list[Message](), list[Card]()
    content = _fitted(content, CONTENT_LIMIT)
    for one in cards:
        one = msgspec.structs.replace(one, title=one.title[:256], text=_fitted(one.text, EMBED_LIMIT) or "—")
        if len(batch) == MOST_EMBEDS or sum(len(c.title) + len(c.text) for c in (*batch, one)) > EMBEDS_LIMIT:
            found.append(Message(content=content, cards=tuple(batch)))
            content, batch = "", []
        batch.append(one)
    return [*found, Message(content=content, cards=tuple(batch))]


def _fitted(text: str, limit: int) -> str:
    """`text` in at most `limit` characters; a block of code that the cut opened is closed again."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 6].rstrip("\\")
    return cut + ("…\n```" if cut.count("```") % 2 else "…")
