"""What a wheel and an sdist say of themselves, in METADATA and PKG-INFO: read from the files, never from the project.

Names come out normalised (PEP 503), versions too (PEP 440). Whatever an index would not take is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from adapters.ecosystems.unpacking import Unpacked, untarred, unzipped
from core.errors import Reason, Refused
from core.ports import Declared, Required

_AGAIN = "then release prepare"
_PYPI = ("upload.pypi.org", "test.pypi.org")
_STATIC_SINCE = (2, 2)  # the version of the metadata since which an sdist says what it leaves to the build


class _Said(msgspec.Struct, frozen=True):
    """One file. `requirements`: None where an sdist leaves them to the build of its wheel."""

    file: str
    name: NormalizedName
    version: Version
    requirements: frozenset[Requirement] | None


def declared(files: Sequence[Path], publish_url: str) -> Declared:
    """What all of `files`, the wheels and sdists of one build, agree on; Refused with every problem of all of them.

    `publish_url`: where they are going to be uploaded; PyPI itself takes less than other indexes do.

    A requirement counts under whatever extra or marker it stands: installers elsewhere will meet it, so what it names
    must be public before, too.
    """
    problems, said = list[Reason](), list[_Said]()
    for file in sorted(files):
        try:
            said.append(_said(file, urlsplit(publish_url).hostname in _PYPI, problems))
        except Refused as refusal:
            problems += refusal.reasons
    if not files:
        problems.append(Reason("the build made no file", "neither a wheel nor an sdist", f"mend it, {_AGAIN}"))
    problems += _disagreements(said)
    if problems:
        raise Refused.all(problems)
    known = [one.requirements for one in said if one.requirements is not None]
    needs = {
        Required(canonicalize_name(need.name), str(need.specifier)) for requirements in known for need in requirements
    }
    return Declared(name=said[0].name, version=str(said[0].version), requires=tuple(sorted(needs)))


def accepts(range: str, version: str) -> bool:
    """True when the specifier allows `version`; a prerelease only where it names one itself, as installers have it."""
    try:
        wanted = SpecifierSet(range)
        return wanted.contains(version, prereleases=bool(wanted.prereleases))
    except (InvalidSpecifier, InvalidVersion):
        return False


def file_identity(filename: str) -> tuple[str, Version | None]:
    """Normalised name and version of a wheel or an sdist; ("", None) for any other file."""
    try:
        parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
        name, version, *_ = parse(filename)
        return name, version
    except (InvalidWheelFilename, InvalidSdistFilename):
        return "", None


def _said(file: Path, to_pypi: bool, problems: list[Reason]) -> _Said:
    """What one file says; what an index would not take of it is appended to `problems`."""
    unpacked = _unpacked(file)
    problems += unpacked.problems
    if len(unpacked.texts) != 1:
        why = f"it holds {', '.join(sorted(unpacked.texts)) or 'neither METADATA nor PKG-INFO'}"
        raise Refused(f"nobody can tell what {file.name} is", why, f"mend the build, {_AGAIN}")
    [text] = unpacked.texts.values()
    raw, unread = parse_email(text)
    if lost := sorted({"name", "version", "requires-dist"} & unread.keys()):
        why = f"its {' and '.join(lost)} stand there twice, or in no UTF-8"
        raise Refused(f"nobody can tell what {file.name} is", why, f"mend the build, {_AGAIN}")
    name, version = canonicalize_name(raw.get("name", "")), _version(file, raw.get("version", ""))
    if file_identity(file.name) != (name, version):
        what = f"{file.name} says that it is {name or 'nothing'} {version}"
        problems.append(Reason(what, "no index takes a file that bears another name", f"mend the build, {_AGAIN}"))
    needs = frozenset(_requirement(file, text) for text in raw.get("requires_dist", []))
    problems += _never_taken(file, version, needs)
    problems += _not_on_pypi(file, raw) if to_pypi else []
    return _Said(file.name, name, version, needs if _is_final(file, raw) else None)


def _unpacked(file: Path) -> Unpacked:
    """The file, with its own metadata and none that it may carry along deeper inside."""
    if file.suffix == ".whl":
        metadata, unpack = re.compile(r"[^/]+\.dist-info/METADATA"), unzipped
    elif file.name.endswith(".tar.gz"):
        metadata, unpack = re.compile(r"(?:\./)?[^/]+/PKG-INFO"), untarred
    else:
        what = f"the build made {file.name}"
        raise Refused(what, "that is neither a wheel nor an sdist", f"leave it out, {_AGAIN}")
    with file.open("rb") as opened:
        return unpack(opened, file.name, lambda path: bool(metadata.fullmatch(path)))


def _version(file: Path, text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        what = f"{file.name} has no legal version"
        raise Refused(what, f"it says {text!r}", f"mend the version that its build computes, {_AGAIN}") from None


def _requirement(file: Path, text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise Refused(f"{file.name} requires {text!r}", str(error), f"correct it, {_AGAIN}") from None


def _never_taken(file: Path, version: Version, needs: Collection[Requirement]) -> list[Reason]:
    found = [
        Reason(
            f"{file.name} requires {need.name} from {need.url}",
            "no index takes a package that depends on a branch, commit or path",
            f"require a version range instead, {_AGAIN}",
        )
        for need in sorted(needs, key=str)
        if need.url
    ]
    if version.local:
        why = f"its build computed {version}: a version with + is for one machine, and no index takes it"
        found.append(Reason(f"{file.name} has a local version", why, f"put the version's tag on that commit, {_AGAIN}"))
    elif not any(version.release) and not version.is_prerelease:
        why = f"{version} is what a build makes of itself when it finds no version"
        found.append(Reason(f"{file.name} has no version", why, f"give it one, {_AGAIN}"))
    return found


def _not_on_pypi(file: Path, raw: RawMetadata) -> list[Reason]:
    found = list[Reason]()
    if private := [one for one in raw.get("classifiers", []) if one.startswith("Private ::")]:
        next_ = f"take the classifier out, or set ecosystems.pypi.publish_url to your own index, {_AGAIN}"
        found.append(Reason(f"{file.name} is not meant for PyPI", f"it says {private[0]!r}", next_))
    if file.suffix == ".whl" and re.search(r"[-.]linux_", file.name):
        why = "PyPI takes no wheel that was made for one Linux machine"
        found.append(Reason(f"{file.name} runs on this machine only", why, f"have it built as manylinux, {_AGAIN}"))
    return found


def _is_final(file: Path, raw: RawMetadata) -> bool:
    """False where the requirements in an sdist are not the last word on them (PEP 643)."""
    since = tuple(int(part) for part in raw.get("metadata_version", "1.0").split(".") if part.isdecimal())
    left = {field.lower() for field in raw.get("dynamic", [])}
    return file.suffix == ".whl" or (since >= _STATIC_SINCE and "requires-dist" not in left)


def _disagreements(said: Sequence[_Said]) -> list[Reason]:
    """Every way in which the files of one build are not of one release."""
    found = list[Reason]()
    for what in ("name", "version"):
        if len({getattr(one, what) for one in said}) > 1:
            why = ", ".join(f"{one.file} says {getattr(one, what)}" for one in said)
            found.append(Reason(f"the build made files of more than one {what}", why, f"build one at a time, {_AGAIN}"))
    known = [one for one in said if one.requirements is not None]
    if len({one.requirements for one in known}) > 1:
        why = "; ".join(f"{one.file}: {', '.join(sorted(map(str, one.requirements or ()))) or 'none'}" for one in known)
        found.append(Reason("the wheel and the sdist do not require the same", why, f"mend the build, {_AGAIN}"))
    if said and not known:
        why = f"{said[0].file} leaves them to the build of a wheel, and there is none"
        found.append(Reason("nobody can tell what it requires", why, f"have a wheel built, too, {_AGAIN}"))
    return found
