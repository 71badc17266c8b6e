"""The version that a text of a Python project declares in plain words; blank where a build has to compute it. Pure.

It is only ever compared with what was built, so what cannot be read plainly is no trouble: the build decides.
"""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator
from pathlib import PurePosixPath

import msgspec
from packaging.version import InvalidVersion, Version

from core.registry import Package

_NAMES = ("__version__", "VERSION", "version")
_UNREADABLE = (ValueError, SyntaxError, msgspec.DecodeError, configparser.Error, RecursionError, MemoryError)


class _Project(msgspec.Struct, frozen=True):
    version: str = ""
    dynamic: list[str] = []


class _Tool(msgspec.Struct, frozen=True):
    poetry: _Project = _Project()


class _Manifest(msgspec.Struct, frozen=True):
    project: _Project = _Project()
    tool: _Tool = _Tool()


def declared(package: Package, text: bytes) -> str:
    """What `package.version_file` says, normalised (PEP 440).

    `pyproject.toml`, `setup.cfg` and `setup.py` by their keys; `__version__` (or `VERSION`, `version`) in any other
    Python file; the only line of any other file.
    """
    try:
        return str(Version(_said(PurePosixPath(package.version_file), text)))
    except (InvalidVersion, *_UNREADABLE):
        return ""


def _said(path: PurePosixPath, text: bytes) -> str:
    match path.name, path.suffix:
        case "pyproject.toml", _:
            manifest = msgspec.toml.decode(text.removeprefix(b"\xef\xbb\xbf"), type=_Manifest)
            return (
                ""
                if "version" in manifest.project.dynamic
                else manifest.project.version or manifest.tool.poetry.version
            )
        case "setup.cfg", _:
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(text.decode("utf-8-sig"))
            return parser.get("metadata", "version", fallback="")
        case "setup.py", _:
            return _only({value for name, value in _keywords(ast.parse(text)) if name == "version"})
        case _, ".py":
            assigned = list(_assigned(ast.parse(text)))
            name = next((name for name in _NAMES if name in dict(assigned)), "")
            return _only({value for other, value in assigned if other == name})
        case _:
            return text.decode("utf-8-sig").strip()


def _assigned(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Every name that is given a value anywhere in `module`, with that value where it is a plain text, else blank."""
    for node in ast.walk(module):
        if isinstance(node, ast.Assign):
            yield from ((target.id, _plain(node.value)) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, _plain(node.value) if isinstance(node, ast.AnnAssign) else ""


def _keywords(module: ast.Module) -> Iterator[tuple[str | None, str]]:
    """The keywords of every `setup(…)`, with their values as above."""
    for call in ast.walk(module):
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "setup":
            yield from ((word.arg, _plain(word.value)) for word in call.keywords)


def _plain(value: ast.expr | None) -> str:
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _only(values: set[str]) -> str:
    return min(values) if len(values) == 1 else ""
