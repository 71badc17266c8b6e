"""The texts of a Python project: what `pyproject.toml` and `uv.lock` say, and a re-pinned manifest. Pure.

Distribution names come out normalised (PEP 503). What cannot be read is refused, never taken for empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import cast

import msgspec
import tomlkit
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import String

from core.errors import Reason, Refused
from core.ports import Dependency, Pin

Table = MutableMapping[str, object]

_HEAD = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(\[[^\]]*\])?")
_REFERENCES = {"git", "path", "url", "workspace"}


class _Locked(msgspec.Struct):
    name: str
    source: dict[str, object]
    version: str = ""


class _Lock(msgspec.Struct):
    package: list[_Locked] = []


def dependencies(manifest: bytes, lock: bytes) -> tuple[Dependency, ...]:
    """What `project.dependencies` names, in its order; by reference also when `[tool.uv.sources]` says so."""
    document = _parsed(manifest)
    references = {canonicalize_name(key) for key, source in _sources(document).items() if _is_reference(source)}
    locked = locked_versions(lock)
    found: dict[str, bool] = {}
    for text in _declared(document):
        wanted = _requirement(text)
        name = canonicalize_name(wanted.name)
        found[name] = found.get(name, False) or wanted.url is not None or name in references
    return tuple(Dependency(name, by_reference, locked.get(name)) for name, by_reference in found.items())


def repinned(manifest: bytes, pins: Sequence[Pin]) -> bytes:
    """`name[extras]==version; marker`, and no entry in `[tool.uv.sources]` any more; all else to the letter.

    A pin to a commit leaves the entry, or the URL, and has it name that commit.
    """
    document = _parsed(manifest)
    declared, sources = _declared(document), _sources(document)
    wanted = {canonicalize_name(pin.distribution): pin for pin in pins}
    names = [canonicalize_name(_requirement(text).name) for text in declared]
    if strangers := sorted(wanted.keys() - set(names)):
        why = "project.dependencies does not name it"
        raise Refused.all(Reason(f"{name} cannot be pinned", why, "release prepare") for name in strangers)
    for position, name in enumerate(names):
        text = declared[position]
        if name in wanted and (pinned := _pinned(text, wanted[name])) != text:
            is_literal = isinstance(text, String) and text.as_string().startswith("'")
            declared[position] = tomlkit.string(pinned, literal=is_literal)
    for key in [key for key in sources if canonicalize_name(key) in wanted]:
        if commit := wanted[canonicalize_name(key)].commit:
            for source in _alternatives(sources[key]):
                _point(source, key, commit)
        else:
            del sources[key]
    return tomlkit.dumps(document).encode()  # pyright: ignore[reportUnknownMemberType]


def locked_versions(lock: bytes) -> Mapping[str, str]:
    """Name → version of what comes from a registry, and only from there.

    A name that is locked more than once gets all its versions, comma-separated: that equals no exact one.
    """
    return {
        name: ", ".join(one.version for one in held)
        for name, held in _locked(lock).items()
        if all("registry" in one.source for one in held)
    }


def locked_commits(lock: bytes) -> Mapping[str, str]:
    """Name → commit of what comes from git, and only from there; more than one comma-separated, as above."""
    return {
        name: ", ".join(str(one.source["git"]).rpartition("#")[2] for one in held)
        for name, held in _locked(lock).items()
        if all("git" in one.source for one in held)
    }


def _locked(lock: bytes) -> dict[str, list[_Locked]]:
    try:
        packages = msgspec.toml.decode(lock, type=_Lock).package
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("uv.lock cannot be read", str(error), "run uv lock and commit it") from error
    by_name: dict[str, list[_Locked]] = {}
    for one in packages:
        by_name.setdefault(one.name, []).append(one)
    return by_name


def _parsed(manifest: bytes) -> Table:
    try:
        return cast(Table, tomlkit.parse(manifest))
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise Refused("pyproject.toml cannot be read", str(error), "correct it, then release prepare") from error


def _table(parent: Table, *path: str) -> Table:
    """The table below `parent`, an empty one where there is none."""
    for key in path:
        parent = cast(Table, parent.get(key, {}))
    return parent


def _declared(document: Table) -> MutableSequence[str]:
    return cast("MutableSequence[str]", _table(document, "project").get("dependencies", []))


def _sources(document: Table) -> Table:
    return _table(document, "tool", "uv", "sources")


def _is_reference(source: object) -> bool:
    return any(_REFERENCES & table.keys() for table in _alternatives(source))


def _alternatives(source: object) -> list[Table]:
    """A source is a table, or one table per marker."""
    return cast("list[Table]", source if isinstance(source, list) else [source])


def _point(source: Table, name: str, commit: str) -> None:
    """Let a source in git name `commit`, whatever it named before."""
    if "git" not in source:
        raise _not_in_git(name)
    for key in ("branch", "tag", "rev"):
        source.pop(key, None)
    source["rev"] = commit


def _not_in_git(name: str) -> Refused:
    why = "pyproject.toml does not take it from git, so it cannot be at the commit that rides"
    return Refused(f"QA would see another {name} than rides", why, "take it from a branch, then release prepare")


def _requirement(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise Refused(
            f"{text!r} is no requirement", str(error), "correct it in pyproject.toml, then release prepare"
        ) from error


def _pinned(text: str, pin: Pin) -> str:
    """The requirement at exactly what `pin` says; name, extras and marker keep their letters."""
    wanted = _requirement(text)
    if pin.commit:
        return text.replace(wanted.url, _at(wanted.url, wanted.name, pin.commit)) if wanted.url else text
    head = _HEAD.match(text)
    assert head
    rest = text.partition(wanted.url)[2] if wanted.url else text
    marker = f"; {rest.partition(';')[2].strip()}" if wanted.marker else ""
    return f"{head[1]}{head[2] or ''}=={pin.version}{marker}"


def _at(url: str, name: str, commit: str) -> str:
    """`git+https://host/path@branch#fragment` at `commit`; an `@` before the path belongs to a login."""
    if not url.startswith("git+"):
        raise _not_in_git(name)
    place, mark, fragment = url.partition("#")
    scheme, _, rest = place.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}{slash}{path.partition('@')[0]}@{commit}{mark}{fragment}"
