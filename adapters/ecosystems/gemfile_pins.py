"""A Gemfile with some of its gems pinned: every call of one, wherever it stands, and nothing else. Pure.

What cannot be rewritten without guessing is refused with its line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from adapters.ecosystems.gemfile import Block, Call, Reading, read_gemfile
from core.errors import Reason, Refused

_REVISION = ("branch", "tag", "ref")
_OF_PATHS = (*_REVISION, "path", "glob")
Edit = tuple[int, int, bytes]


def pinned(files: Mapping[str, bytes | None], path: str, versions: Mapping[str, str]) -> dict[str, bytes]:
    """The files that change when the gems of `versions` are at exactly these; comments and spaces to the letter.

    A gem leaves the `git` or `path` block that it stood in. Refused when a gem is not called for, or in a way that
    cannot be rewritten without guessing.
    """
    reading, edits = read_gemfile(files, path), list[tuple[str, Edit]]()
    chosen = {name: _calls(reading, name) for name in sorted(versions)}
    ours = {call.outer: call for calls in chosen.values() for call in calls}
    emptied: set[tuple[int, int]] = set()
    for call in (call for calls in chosen.values() for call in calls):
        content = files[call.path] or b""
        if not call.blocks:
            edits.append((call.path, (call.start, call.end, _exactly(call, versions[call.name]))))
        elif (block := _only_block(call)).call.outer not in emptied:
            inside = [ours[span] for span in block.statements if span in ours and ours[span].path == call.path]
            if len(inside) == len(block.statements):
                emptied.add(block.call.outer)
                edits.append((call.path, _dissolved(content, block, inside, versions)))
            else:
                edits += ((call.path, edit) for edit in _moved_out(content, block, call, versions[call.name]))
    return _edited(files, edits)


def pointed(files: Mapping[str, bytes | None], path: str, commits: Mapping[str, str]) -> dict[str, bytes]:
    """As `pinned`, with gems that stay in git at exactly these commits; Refused when one of them is not in git."""
    reading, edits = read_gemfile(files, path), dict[tuple[str, int, int], Edit]()
    for name in sorted(commits):
        calls = _calls(reading, name)
        in_git = [holder for call in calls if (holder := _holder(call))]
        if not in_git:
            why = "the Gemfile does not take it from git, so it cannot be at the commit that rides"
            raise Refused(f"QA would see another {name} than rides", why, "take it from a branch, then release prepare")
        for holder in in_git:
            edit = (holder.start, holder.end, _at_commit(holder, commits[name]))
            if edits.setdefault((holder.path, holder.start, holder.end), edit) != edit:
                what = f"{holder.path} line {holder.line} holds gems that ride at different commits"
                raise Refused(what, "one git block is at one commit", "write each as a gem of its own")
    return _edited(files, ((file, edit) for (file, *_), edit in edits.items()))


def _calls(reading: Reading, name: str) -> list[Call]:
    """All calls of one gem; Refused with every reason when there is none, or one that cannot be rewritten."""
    found = [call for call in reading.calls if call.name == name]
    if not found:
        unread = f"; nobody but Ruby can tell what {' and '.join(reading.unread)} asks for" if reading.unread else ""
        what = f"{reading.files[0]} has no plain gem {name!r}"
        raise Refused(what, f"there is nothing to pin{unread}", f'write gem "{name}", …, then release prepare')
    wrong = [
        Reason(f"gem {name!r} on line {one.line} of {one.path} cannot be re-pinned", one.oddity, "write it plainly")
        for one in found
        if one.oddity
    ]
    if wrong:
        raise Refused.all(wrong)
    return found


def _edited(files: Mapping[str, bytes | None], edits: Iterable[tuple[str, Edit]]) -> dict[str, bytes]:
    """The files that are other than before."""
    after: dict[str, bytes] = {}
    for path, (start, end, text) in sorted(edits, key=lambda one: (one[1][0], one[1][1]), reverse=True):
        content = after.get(path, files[path] or b"")
        after[path] = content[:start] + text + content[end:]
    return {path: content for path, content in after.items() if content != files[path]}


def _exactly(call: Call, version: str) -> bytes:
    """The arguments with the pin in second place; comments of what is dropped stay."""
    name, *rest = call.arguments
    quote = name.text[:1] if name.text[:1] in b"\"'" else b'"'
    takes_place = bool(rest) and not rest[0].stays
    text = name.text + b"," + (rest[0].gap if takes_place else b" ") + quote + b"= " + version.encode() + quote
    notes = b""
    for index, one in enumerate(rest):
        if one.stays:
            text += b"," + (notes + one.gap.lstrip() if notes else one.gap) + one.text
            notes = b""
        elif index and b"#" in one.gap:
            notes += one.gap
    return text + (notes if call.in_parentheses else notes.rstrip())


def _at_commit(call: Call, commit: str) -> bytes:
    """The arguments of what is in git with `ref` in place of whatever said which commit."""
    first, *rest = call.arguments
    kept = [one for one in rest if one.key not in _REVISION]
    gap = next((one.gap for one in rest if one.key in _REVISION), b" ")
    quote = first.text[:1] if first.text[:1] in b"\"'" else b'"'
    ref = gap + b"ref: " + quote + commit.encode() + quote
    return b",".join([first.text, *(one.gap + one.text for one in kept), ref])


def _holder(call: Call) -> Call | None:
    """The call that says which commit: of the gem itself, or of the git block around it; None when neither does."""
    if any(one.key and not one.stays and one.key not in _OF_PATHS for one in call.arguments[1:]):
        return call
    around = [block.call for block in call.blocks if block.call.name != "path" and block.call.arguments]
    return around[-1] if around else None


def _only_block(call: Call) -> Block:
    """The one block that `call` stands in, and right there."""
    [block, *more] = call.blocks
    if more or call.outer not in block.statements:
        what = f"gem {call.name!r} on line {call.line} of {call.path} cannot be re-pinned"
        why = f"it is in a block within a block of `{block.call.name}` on line {block.call.line}"
        raise Refused(what, why, f"write it outside of `{block.call.name}`, then release prepare")
    return block


def _dissolved(content: bytes, block: Block, calls: Collection[Call], versions: Mapping[str, str]) -> Edit:
    """What was in the block, in its place: nothing is left for the block to say."""
    start, end = block.inside
    inner = {"": content[start:end]}
    edits = ((one.start - start, one.end - start, _exactly(one, versions[one.name])) for one in calls)
    text = _edited(inner, (("", edit) for edit in edits)).get("", inner[""]).strip()
    depth = _indent(content, block.call.outer[0])
    deeper = min((len(found) for found in re.findall(rb"\n([ \t]+)(?=\S)", content[start:end])), default=0)
    surplus = max(deeper - len(depth), 0)
    return (*block.call.outer, re.sub(rb"\n[ \t]{%d}" % surplus, b"\n", text) if surplus else text)


def _moved_out(content: bytes, block: Block, call: Call, version: str) -> tuple[Edit, Edit]:
    """The call on a line of its own before the block, and gone from within."""
    first = content.rfind(b"\n", 0, call.outer[0]) + 1
    last = content.find(b"\n", call.outer[1]) + 1
    around = content[first : call.outer[0]] + content[call.outer[1] : last].partition(b"#")[0]
    if around.strip() or not last or first <= block.call.outer[0]:
        what = f"gem {call.name!r} on line {call.line} of {call.path} cannot be re-pinned"
        raise Refused(what, "it shares its line with something else", "give it a line of its own")
    line = content[call.outer[0] : call.start] + _exactly(call, version) + content[call.end : last]
    start = block.call.outer[0]
    return (start, start, line + _indent(content, start)), (first, last, b"")


def _indent(content: bytes, at: int) -> bytes:
    """The spaces before what begins at `at`; none when something else does."""
    before = content[content.rfind(b"\n", 0, at) + 1 : at]
    return before if not before.strip() else b""
