"""A message as a value: what the screens make, the outbox stores, and `bot.layout` hands to the client library.

Either content with embeds (release notes, finished steps), or a card of text blocks with buttons under it; a card
cannot carry content. The limits of Discord are kept here, whatever a screen puts in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

CONTENT_LIMIT, CARD_LIMIT, EMBED_LIMIT, EMBEDS_LIMIT = 2000, 3900, 4000, 5900
MOST_BLOCKS, MOST_EMBEDS, MOST_LOGS = 20, 9, 5


class Colour(StrEnum):
    """Never the only sign of anything: a word always says the same."""

    PLAIN = "4f545c"
    BUSY = "3366ff"
    GOOD = "2e8b57"
    BAD = "cc3333"
    WARNING = "d9a400"


class Act(StrEnum):
    """What a button does."""

    SHIP = "ship"
    CANCEL = "cancel"
    RESUME = "resume"
    HAPPENED = "happened"
    AGAIN = "again"


class Button(msgspec.Struct, frozen=True):
    """One button. `mark`: which plan (its digest) or which attempt (its number) it was made for."""

    label: str
    act: Act
    release: str
    mark: str
    danger: bool = False


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
