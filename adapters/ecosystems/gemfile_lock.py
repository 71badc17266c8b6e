"""A Gemfile.lock as text: what it takes, and from where. Pure."""

from __future__ import annotations

import re

import msgspec

from core.ports import Locked, Origin
from core.registry import Sha

_ORIGINS = {"GEM": Origin.REGISTRY, "GIT": Origin.GIT, "PATH": Origin.PATH}
_SPEC = re.compile(r" {4}(\S+) \(([^)-]+)[^)]*\)")
_NEED = re.compile(r" {6}(\S+)")


def direct(lock: bytes) -> tuple[str, ...]:
    """The names under DEPENDENCIES, in their order."""
    return tuple(line.split()[0].rstrip("!") for section, line in _lines(lock) if section == "DEPENDENCIES")


def entries(lock: bytes) -> tuple[Locked, ...]:
    """Every gem of the sections GEM, GIT and PATH; one that is locked for several platforms is one entry."""
    found: dict[Locked, set[str]] = {}
    now: Locked | None = None
    remote = revision = ""
    for section, line in _lines(lock):
        if section not in _ORIGINS:
            continue
        if line.startswith("  remote: "):
            remote = line.split(maxsplit=1)[1]
        elif line.startswith("  revision: "):
            revision = line.split()[1]
        elif spec := _SPEC.fullmatch(line):
            commit = Sha(revision) if section == "GIT" else None
            now = Locked(name=spec[1], origin=_ORIGINS[section], version=spec[2], source=remote, commit=commit)
            found.setdefault(now, set())
        elif now and (need := _NEED.match(line)):
            found[now].add(need[1].rstrip("!"))
    return tuple(sorted(msgspec.structs.replace(one, requires=tuple(sorted(needs))) for one, needs in found.items()))


def _lines(lock: bytes) -> list[tuple[str, str]]:
    """Every line below a section, with the name of that section."""
    found: list[tuple[str, str]] = []
    section = ""
    for line in lock.decode(errors="replace").splitlines():
        if line[:1].strip():
            section = line
        elif line.strip():
            found.append((section, line))
    return found
