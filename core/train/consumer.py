"""What a consumer says at a commit, and what its lock may take: the lock decides, no section of a text (spec 6.5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from core.ports import Ecosystem, Locked, Origin, Pin, Ports
from core.registry import App, Sha
from core.words import short


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
