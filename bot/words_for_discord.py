"""How foreign text (titles, logs, commits, reasons) gets into a message: harmless, bounded, never empty. Pure.

Nothing written by others may mention anybody, link, or break the layout (spec 9.5, L50): all of it passes here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

from core.errors import Reason
from core.words import COMMAND, counted

_SPECIAL = frozenset("\\*_~|`[]()<>#")
_UNSEEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, surrogate, private, unassigned, line separators
_TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_FENCE = "```"
_PIECE = 600
_MOST_LINES = 8
_MENTION = re.compile(r"<@&?\d+>")


def plain(text: str, limit: int = 200) -> str:
    """`text` on one line, without markdown, links and mentions; at most `limit` characters, with … where it was cut."""
    found: list[str] = []
    room = limit - 1
    for char in _one_line(text, limit):
        escaped = f"\\{char}" if char in _SPECIAL else "@\u200b" if char == "@" else char
        room -= len(escaped)
        if room < 0:
            return "".join(found) + "…"
        found.append(escaped)
    return "".join(found) or "—"


def pieces(text: str) -> list[str]:
    """All of `text`, harmless, line by line; long lines go on in another piece. Blank lines are left out."""
    lines = (line[at : at + _PIECE] for line in text.splitlines() for at in range(0, len(line), _PIECE))
    return [plain(line, 2 * _PIECE + 2) for line in lines if _one_line(line, _PIECE)]


def code(text: str, limit: int = 200) -> str:
    """`text` as inline code, where Discord reads no markdown; the accents that would end it are replaced."""
    return f"`{_cut(_one_line(text, limit).replace('`', 'ˋ'), limit - 2) or ' '}`"


def fence(lines: Sequence[str], *, limit: int = 1100) -> str:
    """The end of a log as a block: the last lines, long ones cut, and how many are not shown; blank for no lines."""
    room, kept = limit - 40, list[str]()
    for line in reversed(lines[-_MOST_LINES:]):
        shown = _cut("".join(char for char in line if _is_seen(char) or char == "\t"), 160).replace("`", "ˋ")
        room -= len(shown) + 1
        if room < 0:
            break
        kept.insert(0, shown)
    hidden = len(lines) - len(kept)
    head = [f"… {counted(hidden, 'earlier line')}"] if hidden else []
    return "\n".join([_FENCE, *head, *kept, _FENCE]) if lines else ""


def listed(lines: Iterable[str], limit: int) -> str:
    """As many whole lines as fit into `limit` characters, then how many do not."""
    rows, kept, room = list(lines), list[str](), limit - 20
    for row in rows:
        room -= len(row) + 1
        if room < 0:
            return "\n".join([*kept, f"… and {len(rows) - len(kept)} more"])
        kept.append(row)
    return "\n".join(kept)


def next_step(text: str, limit: int) -> str:
    """The *next* of a reason, a command in it as it is typed here."""
    if not (found := COMMAND.match(text)):
        return plain(text, limit)
    rest = text[found.end() :]
    return code(f"/{found[0]}") + (" " * rest.startswith(" ") + plain(rest, limit) if rest else "")


def warnings(reasons: Iterable[Reason]) -> list[str]:
    """What hinders nothing, and somebody should know."""
    return [f"⚠️ **{plain(one.what, 200)}**\n{plain(one.why, 200)}\n→ {_repair(one.next)}" for one in reasons]


def _repair(text: str) -> str:
    return next_step(text, 400) if COMMAND.match(text) else code(text, 400)


def joined(words: Iterable[str], limit: int) -> str:
    """Foreign words with commas between them."""
    return plain(", ".join(words) or "nothing", limit)


def person(mention: str, name: str) -> str:
    """Somebody as Discord shows them, or their name where they are no user of Discord."""
    return mention if is_mention(mention) else plain(name, 60)


def is_mention(text: str) -> bool:
    """Is it `<@1>` or `<@&2>` and nothing else?"""
    return bool(_MENTION.fullmatch(text))


def ago(at: datetime) -> str:
    """A moment that ticks in the reader's client, in their language."""
    return f"<t:{int(at.timestamp())}:R>"


def clock(at: datetime) -> str:
    """A time of day in the reader's zone."""
    return f"<t:{int(at.timestamp())}:T>"


def day(at: datetime) -> str:
    """Date and time in the reader's zone."""
    return f"<t:{int(at.timestamp())}:f>"


def _one_line(text: str, limit: int) -> str:
    """As much of it as can matter: what is far behind the limit is not even looked at."""
    return " ".join("".join(char if _is_seen(char) else " " for char in text[: 4 * limit]).split())


def _is_seen(char: str) -> bool:
    return char not in _TURNING and unicodedata.category(char) not in _UNSEEN


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
