"""Commands as people write them: words, and never text for a shell (spec 7.2). Pure.

What only a shell would understand is refused where it is read: as plain words it would run something else than was
meant, and exit with 0.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import msgspec

from core.errors import Refused
from core.registry import Argv

WAY_OUT = """put it into a script of the repository, or write it for a shell: bash -ec '…'"""
"""What to do with a command that needs a shell; as a list of words: ["bash", "-ec", "…"]."""

_OPERATORS = re.compile(r"&&|\|\||\|&|;;|>>|<<<|<<-?|[<>]&|&>|>\||<>|[&|;<>()]")
_QUOTES = "“”‘’«»„"
_BLANKS = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\N{ZERO WIDTH SPACE}\ufeff"
_ASSIGNED = re.compile(r"[A-Za-z_]\w*(\[[^]]*\])?\+?=")
_SHELL_WORDS = re.compile(
    r"[.:!{}]|\[\[|\]\]|%.*|alias|bg|bind|break|builtin|caller|case|cd|command|compgen|complete|compopt|continue|coproc"
    r"|declare|dirs|disown|do|done|elif|else|enable|esac|eval|exec|exit|export|fc|fg|fi|for|function|getopts|hash|help"
    r"|history|if|jobs|let|local|logout|mapfile|popd|pushd|read|readarray|readonly|return|select|set|shift|shopt|source"
    r"|suspend|then|times|trap|type|typeset|ulimit|umask|unalias|unset|until|wait|while"
)


def explained(refusal: Refused) -> str:
    """The refusal of a command as one complaint about a value, which is not repeated."""
    [reason] = refusal.reasons
    what, _, _ = reason.what.partition(": ")
    return f"{what}: {reason.why}; {reason.next}"


def split_words(command: str) -> Argv:
    """A command split like a shell would, and never passed through one (L02).

    Refused, with the position, when a quote is left open, the text ends in a backslash, or a shell would make something
    else of it than these words.
    """
    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = tuple(lexer)
    except ValueError as error:
        position = _never_closed(command)
        why = f"{str(error).lower()} at character {position + 1}: {command[position : position + 20]!r}"
        next_ = "take the backslash at the end away" if command[position] == "\\" else "close the quote"
        raise Refused(f"malformed command: {command[:80]!r}", why, next_) from error
    found = [f"{what} at character {at + 1}" for at, what in sorted([*_for_a_shell(command), *_no_program(words)])]
    if found:
        more = f", and {len(found) - 5} more" if len(found) > 5 else ""
        raise Refused(f"no shell runs here: {command[:80]!r}", ", ".join(found[:5]) + more, WAY_OUT)
    return words


class _Char(msgspec.Struct, frozen=True):
    """One character that no backslash and no single quote takes the meaning from; `quote`: within which it stands."""

    at: int
    text: str
    quote: str
    begins: bool


def _for_a_shell(command: str) -> Iterator[tuple[int, str]]:
    """Where a shell would read more than a word, and what."""
    done = 0
    for char in _read(command):
        if char.at < done:
            continue
        if char.text in "$`":
            name = re.compile(r"\$\(|\$\{?\w*\}?|`").match(command, char.at)
            yield char.at, f"`{name[0] if name else char.text}`"
        elif char.quote:
            if command.startswith("\\\n", char.at):
                yield char.at, "a line end"
        elif operator := _OPERATORS.match(command, char.at):
            done = operator.end()
            yield char.at, f"`{operator[0]}`"
        elif char.text in "*?[":
            yield char.at, f"the pattern `{char.text}`"
        elif char.text == "{" and re.match(r"\{[^\s{}]*(,|\.\.)[^\s]*\}|\{[^\s]*,[^\s]*\}", command[char.at :]):
            yield char.at, "the list `{…}`"
        elif char.text == "~" and (char.begins or command[char.at - 1] in "=:"):
            yield char.at, "`~`"
        elif char.text == "#" and char.begins:
            yield char.at, "a comment"
        elif char.text in "\n\r":
            yield char.at, "a line end"
        elif char.text in _QUOTES:
            yield char.at, f"a typographic quote `{char.text}`"
        elif char.text in _BLANKS:
            yield char.at, "a blank that is none to a shell"


def _no_program(words: Argv) -> Iterator[tuple[int, str]]:
    """Why the first word names no program."""
    if not words:
        return
    if not words[0]:
        yield 0, "a program without a name"
    elif _SHELL_WORDS.fullmatch(words[0]):
        yield 0, f"`{words[0]}`, which only a shell knows,"
    elif assigned := _ASSIGNED.match(words[0]):
        yield 0, f"`{assigned[0]}`, a variable before the program,"


def _read(command: str) -> Iterator[_Char]:
    """The characters that have a meaning, with their quotes; a quote's own marks have none."""
    quote, at, begins = "", 0, True
    while at < len(command):
        text = command[at]
        if quote == "'":
            quote = "" if text == "'" else quote
        elif text == "\\" and command[at + 1 : at + 2] == "\n":
            yield _Char(at, text, quote or '"', begins)  # gone for a shell, within quotes and without
            at += 1
        elif text == "\\" and (not quote or command[at + 1 : at + 2] in ('"', "\\")):
            at += 1
        elif text == quote or (not quote and text in "'\""):
            quote = "" if quote else text
        elif text != "\\":
            yield _Char(at, text, quote, begins)
        begins = not quote and text in " \t\n\r"
        at += 1


def _never_closed(text: str) -> int:
    """Where the quote that is never closed opens, or the backslash that escapes nothing."""
    quote, start, index = "", len(text) - 1, 0
    while index < len(text):
        char = text[index]
        if char == "\\" and quote != "'":
            if index == len(text) - 1 and not quote:
                return index
            index += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote, start = char, index
        index += 1
    return start
