"""Numbers of gems: how they compare, which of them a requirement allows, and which one a text declares. Pure.

The first two as Gem::Version and Gem::Requirement have it.
"""

from __future__ import annotations

import re
from itertools import zip_longest

from core.registry import Package

_ZERO = (1, 0, "")  # how a part of a version weighs: letters are (0, 0, letters)
_LEGAL = re.compile(r"[0-9]+(\.[0-9a-zA-Z]+)*(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")
_DECLARED = re.compile(r"^[ \t]*(?:(?:\w+::)*VERSION|\w+\.version)[ \t]*=[ \t]*([^\r\n]*)", re.M)
_QUOTED = re.compile(r"([\"'])([^\"'#]*)\1(?:\.freeze)?[ \t]*(?:#.*)?")
_TERM = re.compile(r"\s*(=|!=|>=|<=|>|<|~>)?\s*([0-9][0-9A-Za-z.-]*)\s*")


def compare_versions(one: str, other: str) -> int:
    """-1, 0 or 1: letters before numbers, and a missing part is 0."""
    for left, right in zip_longest(_segments(one), _segments(other), fillvalue=_ZERO):
        if left != right:
            return -1 if left < right else 1
    return 0


def accepts(range: str, version: str) -> bool:
    """True when `~> 1.0, != 1.2` allows `version`; a prerelease only where the range names one."""
    terms = [_TERM.fullmatch(term) for term in range.split(",")] if range.strip() else []
    named = [(term[1] or "=", term[2]) for term in terms if term]
    if len(named) < len(terms) or (_is_prerelease(version) and not any(_is_prerelease(one) for _, one in named)):
        return False
    return all(_holds(sign, version, wanted) for sign, wanted in named)


def declared(package: Package, text: bytes) -> str:
    """What `VERSION = "…"` or `spec.version = "…"` says, or a file of one line, as the registry will list it.

    Blank where an assignment is no plain text, or where two of them differ: the build decides.
    """
    lines = [line.strip() for line in text.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    assigned = _DECLARED.findall("\n".join(lines))
    plain = {match[2].strip() if (match := _QUOTED.fullmatch(value.strip())) else "" for value in assigned}
    said = min(plain) if len(plain) == 1 else lines[0] if len(lines) == 1 and not plain else ""
    return said.replace("-", ".pre.") if _LEGAL.fullmatch(said) else ""  # Gem::Version does so too


def _holds(sign: str, version: str, wanted: str) -> bool:
    order = compare_versions(version, wanted)
    match sign:
        case "=":
            return order == 0
        case "!=":
            return order != 0
        case ">":
            return order > 0
        case ">=":
            return order >= 0
        case "<":
            return order < 0
        case "<=":
            return order <= 0
        case _:
            return order >= 0 and compare_versions(_release(version), _bumped(wanted)) < 0


def _is_prerelease(version: str) -> bool:
    return bool(re.search(r"[A-Za-z-]", version))


def _release(version: str) -> str:
    """The version without what makes it a prerelease."""
    return re.split(r"\.?[A-Za-z-]", version, maxsplit=1)[0]


def _bumped(version: str) -> str:
    """`2` for 1.4 and for 1, `1.5` for 1.4.2: where `~>` ends."""
    parts = [int(part) for part in _release(version).split(".") if part]
    kept = parts[:-1] or parts
    return ".".join(map(str, [*kept[:-1], kept[-1] + 1]))


def _segments(version: str) -> list[tuple[int, int, str]]:
    """The parts that count; zeros before a prerelease and at the end do not."""
    parts = re.findall(r"[0-9]+|[a-zA-Z]+", version.replace("-", ".pre."))
    weights = [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
    first = next((index for index, weight in enumerate(weights) if not weight[0]), len(weights))
    return [*_stripped(weights[:first]), *_stripped(weights[first:])]


def _stripped(weights: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    while weights and weights[-1] == _ZERO:
        weights = weights[:-1]
    return weights
