"""A Gemfile as text: which gems it asks for, where, and from where. Pure; no Ruby is run.

Bytes come in and offsets into them go out, so any line end and any encoding that has ASCII in its place stays as it is.
What only Ruby could tell (a name in a variable, a block of a method of the team's own) is said to be so, never guessed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec
import tree_sitter_ruby
from tree_sitter import Language, Node, Parser

from core.errors import Refused

# Options that say nothing about where a gem comes from. All others do: git, path, github, branch …, and the names that
# a Gemfile gives to git sources of its own.
_NEUTRAL = re.compile(r"groups?|require|platforms?|source|install_if|env|type|force_ruby_platform|force_platform")
_NEUTRAL_BLOCKS = {"group", "platform", "platforms", "install_if", "env", "source"}
_SOURCE_BLOCKS = {"git", "path", "github", "gist", "bitbucket"}
_CODING = re.compile(rb"\A(?:#![^\n]*\n)?#[^\n]*?coding[:=][ \t]*([\w.-]+)")
# In these every byte below 128 is the character that it is in ASCII; Ruby's parser reads others otherwise.
_ASCII_SAFE = re.compile(
    r"utf-?8|utf-?8-mac|us-ascii|ascii(-8bit)?|binary|iso-?8859-\d+|latin-?\d+|windows-12\d\d|euc-\w+"
)
_BOM = b"\xef\xbb\xbf"
_ENDS_A_SCRIPT = re.compile(rb"[\0\x04\x1a]")
_RUBY = Language(tree_sitter_ruby.language())


class Argument(msgspec.Struct, frozen=True):
    """One argument of a call: its bytes, and the space and comments since the one before (without the comma)."""

    text: bytes
    gap: bytes
    kind: str
    key: str | None
    """The name of an option, None for a positional argument."""

    @property
    def stays(self) -> bool:
        """True for an option that says nothing about where the gem comes from."""
        return self.key is not None and bool(_NEUTRAL.fullmatch(self.key))


class Call(msgspec.Struct, frozen=True):
    """A call with its arguments; `start` and `end` span them, `outer` spans the statement.

    `oddity` says why it cannot be rewritten, or nothing.
    """

    path: str
    line: int
    name: str
    """Of a gem; of a block the method."""
    start: int
    end: int
    outer: tuple[int, int]
    in_parentheses: bool
    arguments: tuple[Argument, ...]
    oddity: str
    blocks: tuple[Block, ...] = ()
    """Those around it that decide where a gem comes from, outermost first."""

    @property
    def by_reference(self) -> bool:
        """True when the gem comes from a branch, commit or path, or from a block that nobody can tell of."""
        return bool(self.blocks) or any(one.key and not one.stays for one in self.arguments)

    @property
    def requirements(self) -> tuple[str, ...]:
        """Version requirements that are written out, as `~> 1.0`."""
        texts = (one.text.decode("latin-1") for one in self.arguments[1:] if one.key is None)
        return tuple(part for text in texts for part in re.findall(r"[\"']([^\"']*)[\"']", text))


class Block(msgspec.Struct, frozen=True):
    """A block that decides where the gems in it come from; `inside` spans what is between `do` and `end`."""

    call: Call
    inside: tuple[int, int]
    statements: tuple[tuple[int, int], ...]


class Reading(msgspec.Struct, frozen=True):
    """What was read: calls of `gem`, and as "Gemfile line 3" where only Ruby could tell what is asked for."""

    calls: tuple[Call, ...] = ()
    unread: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """The Gemfile, and all that it evaluates and that could be read."""


def read_gemfile(files: Mapping[str, bytes | None], path: str) -> Reading:
    """The Gemfile at `path` and what it evaluates, out of `files`; Refused when its bytes are no text for Ruby."""
    calls: list[Call] = []
    unread: list[str] = []
    seen: list[str] = []
    waiting = [path]
    while waiting:
        seen.append(path := waiting.pop(0))
        reader = _Reader(path, files.get(path) or b"")
        calls += reader.calls
        unread += reader.unread
        for line, named in reader.evaluated:
            if named is None or files.get(named) is None:
                unread.append(f"{path} line {line}")
            elif named not in (*seen, *waiting):
                waiting.append(named)
    return Reading(tuple(calls), tuple(unread), tuple(seen))


def masked(path: str, content: bytes) -> bytes:
    """`content` with everything that is not ASCII replaced, byte for byte, so that offsets stay."""
    if found := _ENDS_A_SCRIPT.search(content):
        why = f"line {_line(content, found.start())} has the byte {found[0][0]:#04x}, at which Ruby stops reading"
        raise Refused(f"{path} cannot be read", why, "save it as UTF-8, then release prepare")
    coding = _CODING.match(content.removeprefix(_BOM))
    if coding and not _ASCII_SAFE.fullmatch(name := coding[1].decode().lower().removesuffix("-unix")):
        why = f"its first comment says that it is written in {name}, in which not every byte below 128 is ASCII"
        raise Refused(f"{path} cannot be read", why, "save it as UTF-8, then release prepare")
    if content.startswith(_BOM):
        content = b"   " + content[3:]
    content = re.sub(rb"\r(?!\n)", b" ", content)  # so does Ruby
    return re.sub(rb"[\x80-\xff]", b"x", content)


class _Reader:
    """One file, walked once."""

    def __init__(self, path: str, content: bytes) -> None:
        self.calls: list[Call] = []
        self.unread: list[str] = []
        self.evaluated: list[tuple[int, str | None]] = []
        self._path, self._content = path, content
        root = Parser(_RUBY).parse(masked(path, content)).root_node
        if root.has_error:
            wrong = next((node for node in _walk(root) if node.is_error or node.is_missing), root)
            self.unread.append(f"{path} line {wrong.start_point[0] + 1}")
        self._visit(root, (), "it is in what cannot be read" if root.has_error else "")

    def _visit(self, node: Node, blocks: tuple[Block, ...], oddity: str) -> None:
        if node.type in ("method", "singleton_method", "class", "module", "lambda"):
            oddity = oddity or f"it is in a {node.type.replace('_', ' ')}"
        if node.type == "identifier" and node.text == b"gem" and node.parent and node.parent.type == "argument_list":
            self.unread.append(self._where(node))  # send :gem, or a variable of that name: nobody can tell
        if node.type != "call":
            for child in node.named_children:
                self._visit(child, blocks, oddity)
            return
        method, block = self._method(node), node.child_by_field_name("block")
        arguments = node.child_by_field_name("arguments")
        self._take(node, method, arguments, blocks, oddity)
        for child in node.named_children:
            inner = blocks
            if block and child == block and method and method not in _NEUTRAL_BLOCKS and method != "git_source":
                strange = "" if method in _SOURCE_BLOCKS else f"it is in a block of `{method}`"
                inner = (*blocks, self._block(node, method, block, strange))
            self._visit(child, inner, oddity)

    def _take(self, node: Node, method: str, arguments: Node | None, blocks: tuple[Block, ...], oddity: str) -> None:
        """Remember what matters of a call."""
        given = _arguments(arguments)
        if method == "gem":
            if given and (name := _plain(given[0])):
                self.calls.append(self._call(node, name, blocks, oddity))
            else:
                self.unread.append(self._where(node))
        elif method == "eval_gemfile":
            named = _plain_path(given[0]) if len(given) == 1 else None
            there = posixpath.normpath(posixpath.join(posixpath.dirname(self._path), named)) if named else None
            self.evaluated.append((node.start_point[0] + 1, there))
        elif method in ("eval", "instance_eval", "send", "public_send", "__send__", "method"):
            self.unread.append(self._where(node))

    def _method(self, node: Node) -> str:
        """The method that the Gemfile calls on itself; blank when on something else."""
        receiver, method = node.child_by_field_name("receiver"), node.child_by_field_name("method")
        name = (method.text or b"").decode() if method else ""
        on_itself = receiver is None or receiver.type == "self"
        return name if on_itself or name in ("instance_eval", "eval", "send", "public_send", "__send__") else ""

    def _block(self, node: Node, method: str, block: Node, oddity: str) -> Block:
        body = block.child_by_field_name("body")
        statements = (
            tuple((one.start_byte, one.end_byte) for one in body.named_children if one.type != "comment")
            if body
            else ()
        )
        call = self._call(node, method, (), oddity)
        return Block(call, (block.children[0].end_byte, block.children[-1].start_byte), statements)

    def _call(self, node: Node, name: str, blocks: tuple[Block, ...], oddity: str) -> Call:
        held = node.child_by_field_name("arguments")
        nodes = _arguments(held)
        gaps = [self._gap(one, two) for one, two in pairwise(nodes)]
        arguments = tuple(
            Argument(self._content[one.start_byte : one.end_byte], gap, one.type, _key(one))
            for one, gap in zip(nodes, [b"", *gaps], strict=False)
        )
        return Call(
            path=self._path,
            line=node.start_point[0] + 1,
            name=name,
            start=nodes[0].start_byte if nodes else node.end_byte,
            end=nodes[-1].end_byte if nodes else node.end_byte,
            outer=(node.start_byte, node.end_byte),
            in_parentheses=bool(held and (held.text or b"").startswith(b"(")),
            arguments=arguments,
            oddity=oddity or next(_oddities(blocks, nodes), ""),
            blocks=blocks,
        )

    def _gap(self, one: Node, two: Node) -> bytes:
        """What is between two arguments, without the comma."""
        comma = one.next_sibling
        while comma and comma.type != ",":
            comma = comma.next_sibling
        if comma is None or comma.start_byte > two.start_byte:
            return self._content[one.end_byte : two.start_byte]
        return self._content[one.end_byte : comma.start_byte] + self._content[comma.end_byte : two.start_byte]

    def _where(self, node: Node) -> str:
        return f"{self._path} line {node.start_point[0] + 1}"


def _oddities(blocks: tuple[Block, ...], nodes: list[Node]) -> Iterator[str]:
    """Why a call cannot be rewritten."""
    for block in blocks:
        if block.call.oddity:
            yield block.call.oddity
    for node in nodes:
        if any(inner.type == "heredoc_beginning" for inner in _walk(node)):
            yield f"it goes on with `{_text(node).partition('<<')[1]}`"
    for node in nodes[1:]:
        if _key(node) is None and not _is_requirement(node):
            yield f"`{_text(node)}` is not written out"


def _is_requirement(node: Node) -> bool:
    """True for version requirements that are written out: `"~> 1.0"` or `["~> 1.0", "< 3"]`."""
    parts = node.named_children if node.type == "array" else [node]
    return all(_plain(part) is not None for part in parts)


def _arguments(held: Node | None) -> list[Node]:
    return [one for one in held.named_children if one.type not in ("comment", "block_argument")] if held else []


def _key(node: Node) -> str | None:
    key = node.child_by_field_name("key") if node.type == "pair" else None
    return _text(key).strip(":\"'") if key else None


def _plain(node: Node) -> str | None:
    """What a string without any computing in it says."""
    if node.type != "string" or any(one.type != "string_content" for one in node.named_children):
        return None
    return "".join(_text(one) for one in node.named_children)


def _plain_path(node: Node) -> str | None:
    """A path that is written out, also below `__dir__`."""
    text = _text(node)
    found = re.fullmatch(r"\"#\{__dir__\}/([^\"\\#]+)\"", text)
    found = found or re.fullmatch(r"File\.(?:join\(__dir__, *[\"']([^\"'\\#,]+)[\"']\))", text)
    found = found or re.fullmatch(r"File\.expand_path\([\"']([^\"'\\#,]+)[\"'], *__dir__\)", text)
    return found[1] if found else _plain(node)


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _line(content: bytes, at: int) -> int:
    return content.count(b"\n", 0, at) + 1
