"""What a consumer says at a commit, and what its lock may take: the lock decides, no section of a text (spec 6.5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from core.errors import Reason
from core.ports import Dependency, Ecosystem, Locked, Origin, Pin, Ports
from core.registry import App, Package, Sha
from core.releases import Release, Stay
from core.words import short


class Uses(msgspec.Struct, frozen=True):
    """Packages of ours that an app takes, under the names of the registry file.

    `by_reference`: those that a re-pin has to move. `stays`: the ways in which it takes them that no re-pin moves.
    """

    names: tuple[str, ...] = ()
    by_reference: tuple[str, ...] = ()
    stays: tuple[Stay, ...] = ()


async def uses(repository: Package | App, sha: Sha, packages: Sequence[Package], ports: Ports) -> Uses:
    """What an app takes of `packages` at `sha`; nothing of a package, which says so itself when it is built."""
    if isinstance(repository, Package):
        return Uses()
    found = list[Dependency]()
    for ecosystem in ports.ecosystems.values():
        ours = {one.distribution: one.name for one in packages if one.ecosystem == ecosystem.name}
        named = ecosystem.dependencies(await read(repository, sha, ecosystem, ports))
        found += [msgspec.structs.replace(one, name=ours[one.name]) for one in named if one.name in ours]
    pinned = {one.name for one in found if one.by_reference and not one.unread_in}
    stays = {
        Stay(one.name, one.locked or "", one.unread_in, bool(one.unread_in) and one.by_reference)
        for one in found
        if one.unread_in or one.name not in pinned
    }
    return Uses(
        tuple(sorted({one.name for one in found})),
        tuple(sorted(pinned)),
        tuple(sorted(stays, key=lambda one: (one.package, one.file))),
    )


def branches_out_of_reach(app: str, stays: Sequence[Stay], riding: Collection[str]) -> list[Reason]:
    """What rides and is taken from a branch where nobody here can re-pin it."""
    return [
        Reason(
            f"{app} takes {one.package} from a branch in {one.file}",
            "no file of that kind is re-pinned here, so production would get another commit than the one published",
            "name a published version there, or leave it to pyproject.toml and uv.lock, then release prepare",
        )
        for one in stays
        if one.by_reference and one.package in riding
    ]


def staying(app: str, stays: Sequence[Stay], riding: Mapping[str, str]) -> list[Reason]:
    """What rides beside an app that will not take it. `riding`: package → the version that ships, blank: not known."""
    found: list[Reason] = []
    for one in stays:
        if one.by_reference or one.package not in riding or (one.version and one.version == riding[one.package]):
            continue
        if one.file:
            what, why = f"{app} names {one.package} in {one.file}", "no file of that kind is re-pinned here"
        else:
            what = f"{app} stays on {one.package} {one.version}".rstrip()
            why = "it takes a published version, which a train leaves alone"
        found.append(Reason(what, why, f"ask for the new {one.package} there yourself, when it is published"))
    return found


def left_behind(release: Release) -> tuple[Reason, ...]:
    """What ships beside an app that will not take it."""
    versions = {one.repository: one.version or "" for one in release.frozen}
    return tuple(reason for one in release.frozen for reason in staying(one.repository, one.stays, versions))


async def read(app: App, commit: Sha, ecosystem: Ecosystem, ports: Ports) -> Mapping[str, bytes]:
    """Path → bytes of everything of `ecosystem` that the app has at `commit`; empty when it has nothing."""
    paths = ecosystem.consumer_files(await ports.repositories.paths(app, commit))
    texts = {path: await ports.repositories.read(app, commit, path) for path in paths}
    return {path: text for path, text in texts.items() if text is not None}


def elsewhere(locked: Sequence[Locked], pins: Sequence[Pin], ours: Collection[str]) -> list[str]:
    """What the lock takes from somewhere else than `pins` and the registry, in words; empty: all is as it must be.

    `ours`: every registered distribution, riding or not. A lock that does not hold a pin at all is told as well.
    """
    held, wanted = _by_name(locked), {pin.distribution: pin for pin in pins}
    found: list[str] = []
    for name in sorted({*wanted, *ours}):
        entries, pin = held.get(name, []), wanted.get(name)
        origin = Origin.GIT if pin and pin.commit else Origin.REGISTRY
        if pin and not entries:
            found.append(f"{name} not at all")
        found += [
            f"{name} {_in_words(one)}"
            for one in entries
            if (pin and one.exact != pin.exact) or (one.origin is not origin and (pin or not _is_for_qa(pins)))
        ]
    return found


def moved(before: Sequence[Locked], after: Sequence[Locked], pins: Sequence[Pin]) -> list[str]:
    """Entries that changed beside the pins and whatever these need, or needed, in words: `name old → new`.

    A consumer without a lock before has nothing that could move. Its own tree is no matter of the lock.
    """
    if not before:
        return []
    old, new = _by_name(before), _by_name(after)
    allowed = {*_closure(old, pins), *_closure(new, pins)}
    return [
        f"{name} {_all_in_words(old.get(name, []))} → {_all_in_words(new.get(name, []))}"
        for name in sorted(old.keys() | new.keys())
        if name not in allowed and _places(old.get(name, [])) != _places(new.get(name, []))
    ]


def _is_for_qa(pins: Sequence[Pin]) -> bool:
    """For QA, packages that do not ride stay where they are: the plan of the ship names them."""
    return any(pin.commit for pin in pins)


def _by_name(locked: Iterable[Locked]) -> dict[str, list[Locked]]:
    found: defaultdict[str, list[Locked]] = defaultdict(list)
    for one in locked:
        found[one.name].append(one)
    return dict(found)


def _closure(locked: Mapping[str, Sequence[Locked]], pins: Sequence[Pin]) -> set[str]:
    """The pins, and everything that the lock says they need."""
    found, waiting = set[str](), [pin.distribution for pin in pins]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += [need for one in locked.get(name, []) for need in one.requires]
    return found


def _places(entries: Sequence[Locked]) -> set[tuple[object, ...]]:
    """What makes an entry the same: files that an index adds to a version are no change of it."""
    return {(one.version, one.origin, one.source, one.commit) for one in entries if one.origin is not Origin.WORKSPACE}


def _all_in_words(entries: Sequence[Locked]) -> str:
    return " and ".join(_in_words(one) for one in entries) or "not there"


def _in_words(one: Locked) -> str:
    if one.origin is Origin.REGISTRY:
        return one.version
    exact = short(one.commit) if one.commit else one.version
    return f"{exact} from {one.origin}".strip()
