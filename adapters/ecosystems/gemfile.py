"""A Gemfile as text: the gems it asks for, and the same text with some of them pinned. Pure; no Ruby is run.

Only plain calls of `gem` are understood. Whatever else decides where a gem comes from (a condition, a variable, a git
block) is refused with its line, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

from core.errors import Refused

# Options that say nothing about where a gem comes from. All others do: git, path, github, branch …, and the names that
# a Gemfile gives to git sources of its own.
_NEUTRAL = re.compile(r"groups?|require|platforms?|source|install_if|env|type|force_ruby_platform")
_REVISION = ("branch", "tag", "ref")
_KEYWORD = re.compile(r"if|unless|case|begin|while|until|for|def|class|module")

_LEFT_OUT = re.compile(r"^=begin\b.*?^=end\b|^__END__$.*", re.M | re.S)
_STATEMENT = re.compile(r"^[ \t]*(?:(?P<gem>gem[ \t]*\(?[ \t]*)(?=[\"'])|(?P<end>end\b)|(?P<other>[^\s#][^\n]*))", re.M)
_OPENS_BLOCK = re.compile(r"\bdo(?:[ \t]*\|[^|]*\|)?[ \t]*$")
_LITERAL = re.compile(r"\"[^\"\\#]*\"|'[^'\\]*'")
_KEY = re.compile(r":?([\"']?)(\w+)\1(?:\s*=>|:(?!:))")
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\\\n) | (?P<comment>\#[^\n]*) | (?P<newline>\n) | (?P<comma>,)
      | (?P<string>"(?:\\.|\#\{(?:[^{}"]|"[^"\n]*")*\}|\#(?!\{)|[^"\\\#])*" | '(?:\\.|[^'\\])*'
                 | %[wWiIqQ](?:\[[^\]]*\]|\([^)]*\)|\{[^}]*\}|<[^>]*>))
      | (?P<open>[\[({]) | (?P<close>[\])}]) | (?P<broken>["'`])
      | (?P<stop>;|<<[~-]|\b(?:if|unless|while|until|rescue|and|or|do)\b(?!:)) | (?P<word>\w+|.)""",
    re.X | re.S,
)


class Argument(msgspec.Struct, frozen=True):
    """One argument of a call: its text, and the space and comments since the one before (without the comma)."""

    text: str
    gap: str

    @property
    def key(self) -> str | None:
        """The name of an option, None for a positional argument."""
        found = _KEY.match(self.text)
        return found[2] if found else None

    @property
    def stays(self) -> bool:
        """True for an option that says nothing about where the gem comes from."""
        return self.key is not None and bool(_NEUTRAL.fullmatch(self.key))

    @property
    def is_requirement(self) -> bool:
        """True for version requirements that are written out: `"~> 1.0"` or `["~> 1.0", "< 3"]`."""
        inner = self.text[1:-1].split(",") if self.text.startswith("[") else [self.text]
        return self.key is None and all(_LITERAL.fullmatch(part.strip()) for part in inner)


class GemCall(msgspec.Struct, frozen=True):
    """A call of `gem`. `start` and `end` span its arguments; `oddity` says why it cannot be rewritten, or nothing."""

    name: str
    line: int
    start: int
    end: int
    in_parentheses: bool
    arguments: tuple[Argument, ...]
    in_source_block: bool
    oddity: str

    @property
    def by_reference(self) -> bool:
        """True when the gem comes from a branch, commit or path."""
        return self.in_source_block or any(one.key and not one.stays for one in self.arguments)


def gem_calls(text: str) -> Iterator[GemCall]:
    """Every call of `gem` with a name that is written out."""
    text = _LEFT_OUT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    blocks: list[str] = []
    for found in _STATEMENT.finditer(text):
        if found["gem"]:
            yield _read_call(text, found.end("gem"), "(" in found["gem"], blocks)
        elif found["end"]:
            del blocks[-1:]
        elif found["other"]:
            statement = re.sub(r"\s#(?!\{).*", "", found["other"])
            word = (re.match(r"\w+", statement) or [""])[0]
            if (_KEYWORD.fullmatch(word) or _OPENS_BLOCK.search(statement)) and not re.search(r"\bend\s*$", statement):
                blocks.append(word)


def pinned(text: str, versions: Mapping[str, str]) -> str:
    """`text` with the gems of `versions` at exactly these; all else, comments and spaces included, to the letter.

    Refused when a gem is not called for, or in a way that cannot be rewritten without guessing.
    """
    return _changed(text, versions, _rewritten)


def pointed(text: str, commits: Mapping[str, str]) -> str:
    """As `pinned`, with gems that stay in git at exactly these commits; Refused when one of them is not in git."""
    return _changed(text, commits, _pointed)


def _changed(text: str, wanted: Mapping[str, str], rewritten: Callable[[GemCall, str], str]) -> str:
    calls = list(gem_calls(text))
    chosen = {name: _only_call([call for call in calls if call.name == name], name) for name in wanted}
    for name, call in sorted(chosen.items(), key=lambda item: item[1].start, reverse=True):
        text = text[: call.start] + rewritten(call, wanted[name]) + text[call.end :]
    return text


def _only_call(found: list[GemCall], name: str) -> GemCall:
    if not found:
        raise Refused(f"the Gemfile has no plain gem {name!r}", "there is nothing to pin", f'write gem "{name}", …')
    if why := "it is declared more than once" if len(found) > 1 else found[0].oddity:
        where = " and ".join(str(call.line) for call in found)
        what = f"gem {name!r} on line {where} of the Gemfile cannot be re-pinned"
        raise Refused(what, why, "write it as one plain gem call")
    return found[0]


def _rewritten(call: GemCall, version: str) -> str:
    """The arguments with the pin in second place; comments of what is dropped stay."""
    name, *rest = call.arguments
    quote = name.text[0]
    takes_place = bool(rest) and not rest[0].stays
    text = f"{name.text},{rest[0].gap if takes_place else ' '}{quote}= {version}{quote}"
    notes = ""
    for index, one in enumerate(rest):
        if one.stays:
            text += "," + (notes + one.gap.lstrip() if notes else one.gap) + one.text
            notes = ""
        elif index and "#" in one.gap:
            notes += one.gap
    return text + (notes if call.in_parentheses else notes.rstrip())


def _pointed(call: GemCall, commit: str) -> str:
    """The arguments of a gem in git with `ref` in place of whatever said which commit."""
    name, *rest = call.arguments
    if not any(one.key and not one.stays and one.key not in (*_REVISION, "path") for one in rest):
        why = "the Gemfile does not take it from git, so it cannot be at the commit that rides"
        next_ = "take it from a branch, then release prepare"
        raise Refused(f"QA would see another {call.name} than rides", why, next_)
    kept = [one for one in rest if one.key not in _REVISION]
    gap = next((one.gap for one in rest if one.key in _REVISION), " ")
    quote = name.text[0]
    return ",".join([name.text, *(one.gap + one.text for one in kept), f"{gap}ref: {quote}{commit}{quote}"])


def _read_call(text: str, start: int, in_parentheses: bool, blocks: list[str]) -> GemCall:
    """Read the arguments from `start`, where the name begins."""
    spans: list[tuple[int, int]] = []
    commas: list[int] = []
    at, depth, oddity = start, 0, ""
    for token in _TOKEN.finditer(text, start):
        kind, at = token.lastgroup, token.start()
        between = len(spans) == len(commas)  # a comma, or nothing yet, came before
        if kind in ("space", "comment") or (kind == "newline" and (depth or in_parentheses or between)):
            continue
        if not depth and kind in ("newline", "close"):
            break
        if not depth and kind == "comma":
            commas.append(at)
            continue
        if kind == "broken" or (kind == "stop" and not depth):
            oddity = f"it goes on with `{token[0]}`"
        depth += (kind == "open") - (kind == "close")
        if between:
            spans.append((at, token.end()))
        else:
            spans[-1] = (spans[-1][0], token.end())
    else:
        at = len(text)
    gaps = [
        text[one[1] : comma] + text[comma + 1 : two[0]]
        for one, comma, two in zip(spans, commas, spans[1:], strict=False)
    ]
    arguments = tuple(Argument(text[a:b], gap) for (a, b), gap in zip(spans, ["", *gaps], strict=True))
    tail = text[at + in_parentheses :].partition("\n")[0].strip()
    odd = [f"`{one.text}` is not written out" for one in arguments[1:] if one.key is None and not one.is_requirement]
    strange = [word for word in blocks if not _NEUTRAL.fullmatch(word) and not _KEYWORD.fullmatch(word)]
    if strange:
        odd.append(f"it is in a block of `{strange[0] or 'do'}`")
    if tail and not tail.startswith("#"):
        odd.append(f"it goes on with `{tail}`")
    return GemCall(
        name=arguments[0].text[1:-1],
        line=text.count("\n", 0, start) + 1,
        start=start,
        end=spans[-1][1],
        in_parentheses=in_parentheses,
        arguments=arguments,
        in_source_block=bool(strange),
        oddity=oddity or next(iter(odd), ""),
    )
