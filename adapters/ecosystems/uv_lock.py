"""A `uv.lock` as text: every entry, and from where it is taken. Pure. Names come out normalised (PEP 503)."""

from __future__ import annotations

import msgspec

from core.errors import Refused
from core.ports import Locked, Origin
from core.registry import Sha


class _Need(msgspec.Struct):
    name: str


class _File(msgspec.Struct):
    hash: str = ""


class _Entry(msgspec.Struct, rename="kebab"):
    name: str
    source: dict[str, object]
    version: str = ""
    dependencies: list[_Need] = []
    optional_dependencies: dict[str, list[_Need]] = {}
    dev_dependencies: dict[str, list[_Need]] = {}
    sdist: _File | None = None
    wheels: list[_File] = []


class _Manifest(msgspec.Struct, frozen=True):
    members: list[str] = []


class _Lock(msgspec.Struct):
    package: list[_Entry] = []
    manifest: _Manifest = _Manifest()


def entries(lock: bytes) -> tuple[Locked, ...]:
    """Every entry, sorted; Refused when the text is no lock."""
    try:
        read = msgspec.toml.decode(lock, type=_Lock)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("uv.lock cannot be read", str(error), "run uv lock and commit it") from error
    return tuple(sorted(_locked(one, read.manifest.members) for one in read.package))


def _locked(entry: _Entry, members: list[str]) -> Locked:
    origin, source = _place(entry, members)
    address, _, commit = source.partition("#") if origin is Origin.GIT else (source, "", "")
    files = [entry.sdist, *entry.wheels] if entry.sdist else entry.wheels
    groups = [*entry.optional_dependencies.values(), *entry.dev_dependencies.values()]
    needs = [*entry.dependencies, *(need for group in groups for need in group)]
    return Locked(
        name=entry.name,
        origin=origin,
        version=entry.version,
        source=address,
        commit=Sha(commit) if commit else None,
        hashes=tuple(sorted({file.hash for file in files if file.hash})),
        requires=tuple(sorted({need.name for need in needs})),
    )


def _place(entry: _Entry, members: list[str]) -> tuple[Origin, str]:
    """From where an entry is taken; an index that is a folder is a path."""
    kind, source = next(((kind, str(source)) for kind, source in entry.source.items()), ("", ""))
    match kind:
        case "registry" if "://" in source and not source.startswith("file:"):
            return Origin.REGISTRY, source
        case "git":
            return Origin.GIT, source
        case "url":
            return Origin.URL, source
        case "editable" | "virtual" | "directory" if source == "." or entry.name in members:
            return Origin.WORKSPACE, source
        case _:
            return Origin.PATH, source
