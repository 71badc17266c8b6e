"""Small facts about text: slugs, nearest names, hosts, short shas, numbers of things, durations. Pure."""

from __future__ import annotations

import difflib
import ipaddress
import re
import zlib
from collections.abc import Iterable
from unicodedata import category

from anyascii import anyascii

from core.errors import Reason, Refused

COMMAND = re.compile("(release|task|token|person) [a-z]+")
"""What the *next* of a reason begins with where it is a command; each face shows it as it is typed there."""
_LONGEST_NAME = 48
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_BRANCH = re.compile(
    r"(?![-/.]|HEAD$|@$)(?!.*(\.\.|@\{|//|/\.|\.lock(/|$)))[^\s\x00-\x1f\x7f~^:?*\[\\]{1,200}(?<![/.])"
)


def slug_from(title: str) -> str:
    """A slug derived from a title in any script: ASCII, lower case, dashes, at most 48 characters.

    A title without a letter gets a number, which is the same for the same title.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", anyascii(title).lower()).strip("-")[:48].strip("-")
    return slug or f"task-{zlib.crc32(title.encode(errors='surrogatepass'))}"


def checked_slug(text: str) -> str:
    """`text` when it is a legal slug, else Refused."""
    if not _SLUG.fullmatch(text):
        why = "a slug is 1 to 48 of a-z, 0-9 and -, and starts with one of the first two"
        guess = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48]
        raise Refused(f"{text[:60]!r} is no slug", why, f"for example {guess or 'r1'}")
    return text


def unstorable(text: str) -> Reason | None:
    """Why no record can keep `text`, or nothing: a NUL, or bytes that are no UTF-8, as a shell may hand them over."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        why = f"character {error.start + 1} of {_visible(text)} is broken"
        return Reason("the text is no UTF-8", why, "write it in UTF-8")
    if (nul := text.find("\0")) < 0:
        return None
    return Reason(
        f"{_visible(text)} holds a NUL character", f"it is character {nul + 1}; no text has one", "leave it out"
    )


def shown_name(text: str) -> str:
    """A person's name as it may stand in a line: no control, direction or invisible characters, one blank at a time."""
    kept = "".join(" " if one.isspace() else one for one in text if one.isspace() or category(one)[0] != "C")
    return " ".join(kept.split())[:_LONGEST_NAME].strip()


def checked_branch(text: str) -> str:
    """`text` when git takes it for a branch, else Refused; a leading dash would be read as an option."""
    if not _BRANCH.fullmatch(text):
        why = "it looks like an option" if text.startswith("-") else "git refuses such names"
        raise Refused(f"{text[:60]!r} is no branch name", why, "name the branch that carries the work")
    return text


def search_words(text: str) -> tuple[str, ...]:
    """The words of `text` as they are searched for: without case, each once, at most 48 characters of each."""
    return tuple(dict.fromkeys(word[:48] for word in re.findall(r"[^\W_]+", text.casefold())))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `name`, if any looks like it at all."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), None)


def is_loopback(host: str) -> bool:
    """Is it this very machine? No secret may travel to another one unencrypted."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def short(sha: str) -> str:
    return sha[:7]


def counted(number: int, noun: str) -> str:
    """So many of what `noun` names one of: `1 task`, `2 tasks`, `0 repositories`."""
    many = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{number} {noun if number == 1 else many}"


def lasting(seconds: float) -> str:
    """A duration as people read it: `0.4 s`, `42 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _visible(text: str) -> str:
    """The beginning of a text, with a mark where no character is."""
    return ascii(text[:40]) if not text[:40].isprintable() else repr(text[:40])
