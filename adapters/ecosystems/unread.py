"""Python manifests of kinds that nobody here can re-pin: which packages they name, and on which line. Pure.

Too many is fine: what is found is compared with the packages of the team, and told. Comments are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from packaging.utils import canonicalize_name

from core.ports import Dependency

_KINDS = re.compile(
    r"(.*/)?((.*requirements.*|constraints.*)\.(txt|in)|requirements/[^/]+\.(txt|in)|setup\.(py|cfg)|Pipfile(\.lock)?"
    r"|(poetry|pdm)\.lock|pylock(\..+)?\.toml|(environment|conda).*\.ya?ml|pixi\.(toml|lock))"
)
_NAME = re.compile(r"(?<![\w.-])[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")
_REFERENCE = re.compile(r"git\+|hg\+|svn\+|bzr\+|file:|\bgit\s*[=:]|\bpath\s*[=:]|@\s*\w+://|\s@\s|-e\s|\.git\b|#egg=")
_OTHER_TOOLS = re.compile(r"\[+\s*tool\.(poetry|pdm|hatch|pixi|pipenv|rye|conda)\b")


def is_unread(path: str) -> bool:
    """True for a file that may say what is installed and that is never re-pinned."""
    return bool(_KINDS.fullmatch(path))


def named_in(files: Mapping[str, bytes], manifest: str) -> tuple[Dependency, ...]:
    """Every word of such files that may be the name of a package, once a file; and of the tables that other tools
    have in `manifest`.
    """
    found: dict[tuple[str, str], Dependency] = {}
    for path, number, line in _lines(files, manifest):
        for word in _NAME.findall(line):
            name = str(canonicalize_name(word.removesuffix(".git")))
            one = Dependency(name, bool(_REFERENCE.search(line)), unread_in=f"{path} line {number}")
            found.setdefault((name, path), one)
    return tuple(found.values())


def _lines(files: Mapping[str, bytes], manifest: str) -> Iterator[tuple[str, int, str]]:
    for path, content in sorted(files.items()):
        counts = is_unread(path)
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
            if path == manifest and line.lstrip().startswith("["):
                counts = bool(_OTHER_TOOLS.match(line.lstrip()))
            bare = re.split(r"(?:^|\s)#", line)[0]
            if counts and bare.strip():
                yield path, number, bare
