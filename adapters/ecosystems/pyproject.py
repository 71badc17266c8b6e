"""The texts of a Python project: what `pyproject.toml` and `uv.lock` say, and a re-pinned manifest. Pure.

Distribution names come out normalised (PEP 503). What cannot be read is refused, never taken for empty.
"""

from __future__ import annotations

import codecs
import posixpath
import re
from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from typing import cast

import msgspec
import tomlkit
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import String

from adapters.ecosystems.uv_lock import entries
from adapters.ecosystems.uv_policy import SETTINGS, forbidden
from core.errors import Reason, Refused
from core.ports import Dependency, Locked, Origin, Pin

Table = MutableMapping[str, object]

MANIFEST, LOCK = "pyproject.toml", "uv.lock"
_HEAD = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(\[[^\]]*\])?")
_REFERENCES = {"git", "path", "url", "workspace"}


class _Manifest(msgspec.Struct):
    """One `pyproject.toml`, which `path` names; the tables are changed in place."""

    path: str
    document: Table


def dependencies(files: Mapping[str, bytes]) -> tuple[Dependency, ...]:
    """What any section of a manifest names, in its order, then what only the lock takes from elsewhere.

    By reference when a URL or `[tool.uv.sources]` says so, or when the lock has it from anywhere but a registry:
    groups, extras, overrides and members of a workspace ship like everything else.
    """
    manifests, held = _manifests(files), entries(files.get(LOCK, b""))
    # The application itself is in its lock as well.
    root = {one.name for one in held if one.origin is Origin.WORKSPACE and one.source == "."}
    elsewhere = {one.name for one in held if one.origin is not Origin.REGISTRY} - root
    references = elsewhere | {
        str(canonicalize_name(key))
        for one in manifests
        for key, source in _sources(one.document).items()
        if _is_reference(source)
    }
    found: dict[str, bool] = {}
    for section in (section for one in manifests for section in _sections(one.document)):
        for wanted in (_requirement(text) for text in section if isinstance(text, str)):
            name = canonicalize_name(wanted.name)
            found[name] = found.get(name, False) or wanted.url is not None or name in references
    found |= dict.fromkeys(sorted(elsewhere - found.keys()), True)
    return tuple(Dependency(name, by_reference, _version(name, held)) for name, by_reference in found.items())


def repinned(files: Mapping[str, bytes], pins: Sequence[Pin]) -> Mapping[str, bytes]:
    """`name[extras]==version; marker` wherever it is asked for, and none but an index in `[tool.uv.sources]` any more;
    all else to the letter.

    A pin to a commit leaves the entry, or the URL, and has it name that commit. Refused when no section names it, or a
    constraint forbids it.
    """
    manifests, wanted = _manifests(files), {str(canonicalize_name(pin.distribution)): pin for pin in pins}
    named: set[str] = set()
    for section in (section for one in manifests for section in _sections(one.document)):
        named |= _pin_all(section, wanted)
    if strangers := sorted(wanted.keys() - named):
        why = "the lock takes it from elsewhere, and no section of a pyproject.toml of the workspace names it"
        next_ = "name it in pyproject.toml, then release prepare"
        raise Refused.all(Reason(f"{name} cannot be pinned", why, next_) for name in strangers)
    for one in manifests:
        _require_allowed(one, wanted)
        _point_sources(_sources(one.document), wanted)
    if manifests:
        _require_fresh(files, manifests[0], sorted(wanted))
    after = {one.path: _written(one.document, files[one.path]) for one in manifests}
    return {path: text for path, text in after.items() if text != files[path]}


def _manifests(files: Mapping[str, bytes]) -> list[_Manifest]:
    """The root's, then those of the members of its workspace, sorted."""
    if MANIFEST not in files:
        return []
    root = _Manifest(MANIFEST, _parsed(files[MANIFEST], MANIFEST))
    workspace = _table(root.document, "tool", "uv", "workspace")
    globs, excluded = (cast("list[str]", workspace.get(key, [])) for key in ("members", "exclude"))
    folders = sorted(path.removesuffix(f"/{MANIFEST}") for path in files if path.endswith(f"/{MANIFEST}"))
    members = [folder for folder in folders if _matches(folder, globs) and not _matches(folder, excluded)]
    return [root, *(_Manifest(path, _parsed(files[path], path)) for path in (f"{one}/{MANIFEST}" for one in members))]


def _matches(folder: str, globs: Sequence[str]) -> bool:
    """As uv reads a glob: `*` stays within one name, `**` is any number of them."""
    return any(re.fullmatch(glob_pattern(posixpath.normpath(glob)), folder) for glob in globs)


def glob_pattern(glob: str) -> str:
    """The regular expression that a glob of a workspace stands for."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", glob)
    meaning = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        meaning.get(part) or (f"[{part[1:-1].replace('!', '^', 1)}]" if part[:1] == "[" else re.escape(part))
        for part in parts
    )


def _version(name: str, held: Sequence[Locked]) -> str | None:
    """The version of what the lock takes from a registry, and only from there; None: it does not."""
    of_it = [one for one in held if one.name == name]
    if not of_it or any(one.origin is not Origin.REGISTRY for one in of_it):
        return None
    return max((one.version for one in of_it), key=Version)


def _point_sources(sources: Table, wanted: Mapping[str, Pin]) -> None:
    """Let the sources of what is wanted name its commit, or nothing but an index."""
    for key in [key for key in sources if canonicalize_name(key) in wanted]:
        if commit := wanted[canonicalize_name(key)].commit:
            for source in _alternatives(sources[key]):
                _point(source, key, commit)
        elif _is_reference(sources[key]):
            _without_references(sources, key)


def _written(document: Table, before: bytes) -> bytes:
    """The text of a document; what a person put before it, to mark its encoding, stays."""
    mark = codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b""
    return mark + tomlkit.dumps(document).encode()  # pyright: ignore[reportUnknownMemberType]


def _pin_all(section: MutableSequence[object], wanted: Mapping[str, Pin]) -> set[str]:
    """Pin what is wanted of one section; the names that it has of them."""
    named: set[str] = set()
    for position, text in enumerate(section):
        if not isinstance(text, str):  # another group that this one includes
            continue
        name = canonicalize_name(_requirement(text).name)
        if name not in wanted:
            continue
        named.add(name)
        if (pinned := _pinned(text, wanted[name])) != text:
            is_literal = isinstance(text, String) and text.as_string().startswith("'")
            section[position] = tomlkit.string(pinned, literal=is_literal)
    return named


def _require_allowed(manifest: _Manifest, wanted: Mapping[str, Pin]) -> None:
    """Refused where a constraint forbids what is wanted: uv would find no solution, or another one."""
    problems: list[Reason] = []
    for text in _array(manifest.document, "tool", "uv", "constraint-dependencies"):
        limit = _requirement(str(text))
        pin = wanted.get(canonicalize_name(limit.name))
        if pin and pin.version and not limit.specifier.contains(pin.version, prereleases=True):
            why = f"constraint-dependencies of {manifest.path} says {text}"
            what = f"{pin.package} {pin.version} is forbidden"
            problems.append(Reason(what, why, "widen the constraint, then release prepare"))
    if problems:
        raise Refused.all(problems)


def _require_fresh(files: Mapping[str, bytes], root: _Manifest, wanted: Sequence[str]) -> None:
    """Refused where a policy of the team keeps uv from versions as new as those that ride."""
    if SETTINGS in files:
        settings, where = _parsed(files[SETTINGS], SETTINGS), SETTINGS
    else:
        settings, where = _table(root.document, "tool", "uv"), f"[tool.uv] in {root.path}"
    if problems := forbidden(settings, where, wanted):
        raise Refused.all(problems)


def _without_references(sources: Table, key: str) -> None:
    """Leave of a source what names an index: where a published version comes from."""
    kept = [one for one in _alternatives(sources[key]) if not _REFERENCES & one.keys()]
    if kept and isinstance(sources[key], list):
        items = cast("list[Table]", sources[key])
        for one in [one for one in items if _REFERENCES & one.keys()]:
            items.remove(one)
    else:
        del sources[key]


def _parsed(manifest: bytes, path: str) -> Table:
    try:
        return cast(Table, tomlkit.parse(manifest.removeprefix(codecs.BOM_UTF8).decode()))
    except (TOMLKitError, UnicodeDecodeError) as error:
        next_ = "correct it (it has to be TOML in UTF-8), then release prepare"
        raise Refused(f"{path} cannot be read", str(error), next_) from error


def _table(parent: Table, *path: str) -> Table:
    """The table below `parent`, an empty one where there is none."""
    for key in path:
        parent = cast(Table, parent.get(key, {}))
    return parent


def _array(document: Table, *path: str) -> MutableSequence[object]:
    *above, key = path
    return cast("MutableSequence[object]", _table(document, *above).get(key, []))


def _sections(document: Table) -> Iterator[MutableSequence[object]]:
    """Every list of requirements that decides what is installed: of the project, its extras, groups and overrides."""
    yield _array(document, "project", "dependencies")
    for path in (("project", "optional-dependencies"), ("dependency-groups",)):
        yield from cast("dict[str, MutableSequence[object]]", _table(document, *path)).values()
    yield _array(document, "tool", "uv", "dev-dependencies")
    yield _array(document, "tool", "uv", "override-dependencies")


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
    if pin.commit and wanted.url:
        return text.replace(wanted.url, _at(wanted.url, wanted.name, pin.commit))
    if pin.commit:
        return text
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
