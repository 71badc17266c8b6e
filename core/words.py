"""Small facts about text: slugs, nearest names, short shas, durations. Pure."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from core.errors import Refused

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")


def slug_from(title: str) -> str:
    """A slug derived from a title: ASCII, lower case, dashes, at most 48 characters; Refused when nothing is left."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48].strip("-")
    if not slug:
        raise Refused(
            f"no slug can be derived from {title[:40]!r}", "it has no letter or digit", "give a slug: a-z, 0-9, -"
        )
    return slug


def checked_slug(text: str) -> str:
    """`text` when it is a legal slug, else Refused."""
    if not _SLUG.fullmatch(text):
        raise Refused(
            f"{text[:60]!r} is no slug", "a slug is 1 to 48 of a-z, 0-9 and -, and starts with one of the first two"
        )
    return text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `name`, if any looks like it at all."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), None)


def short(sha: str) -> str:
    """A commit as people read it."""
    return sha[:7]


def lasting(seconds: float) -> str:
    """A duration as people read it: `0.4 s`, `42 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
