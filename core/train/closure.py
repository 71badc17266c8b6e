"""Whether what is going to be public can be installed: every range that a package of the train takes of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from core.errors import Reason, Trouble
from core.ports import Ports
from core.registry import Package
from core.releases import Frozen
from core.tasks import Task
from core.unforeseen import or_trouble


class Gaps(msgspec.Struct, frozen=True):
    """`problems`: what nobody could install. `unknown`: why that cannot be told of the others."""

    problems: tuple[Reason, ...] = ()
    unknown: tuple[Reason, ...] = ()


async def gaps(frozen: Sequence[Frozen], tasks: Sequence[Task], packages: Mapping[str, Package], ports: Ports) -> Gaps:
    """Every requirement that neither what rides nor what is live satisfies; changes nothing. `tasks`: who rides."""
    riding = {one.repository: one.version or "" for one in frozen if one.repository in packages}
    open_ = [
        (one, needed, range)
        for one in frozen
        for needed, ranges in one.ranges.items()
        for range in ranges
        if one.repository in packages
        and needed in packages
        and not _takes(packages[needed], range, riding.get(needed), ports)
    ]
    asked = sorted({needed for _, needed, _ in open_})
    looks = await asyncio.gather(*(_live(packages[name], ports) for name in asked))
    live = dict(zip(asked, looks, strict=True))
    problems, unknown = dict[Reason, None](), dict[Reason, None]()
    for one, needed, range in open_:
        match live[needed]:
            case frozenset() as versions:
                if not any(_takes(packages[needed], range, version, ports) for version in versions):
                    problems[_gap(one, needed, range, riding.get(needed), versions, tasks)] = None
            case reasons:
                what = f"cannot tell whether anybody could install {_needing(one, needed, range)}"
                unknown[Reason(what, "; ".join(map(str, reasons)), "try again in a minute")] = None
    return Gaps(tuple(problems), tuple(unknown))


async def _live(package: Package, ports: Ports) -> frozenset[str] | tuple[Reason, ...]:
    """What can be installed of it now; or why nobody can tell."""
    try:
        look = ports.ecosystems[package.ecosystem].available(package)
        return await or_trouble(f"see what is live of {package.name}", look)
    except Trouble as trouble:
        return trouble.reasons


def _takes(package: Package, range: str, version: str | None, ports: Ports) -> bool:
    return version is not None and ports.ecosystems[package.ecosystem].accepts(range, version)


def _gap(
    one: Frozen, needed: str, range: str, rides: str | None, live: frozenset[str], tasks: Sequence[Task]
) -> Reason:
    what = f"nobody could install {_needing(one, needed, range)}"
    where = f"{needed} rides at {rides}" if rides else f"{needed} does not ride"
    why = f"{where}, and {'live of it are ' + ', '.join(sorted(live)[-5:]) if live else 'nothing of it is live'}"
    carrying = [task.slug for task in tasks if one.repository in task.repositories]
    eject = " and ".join(f"release eject {slug}" for slug in reversed(carrying))
    mend = f"bring a {needed} that fits aboard" if not rides else f"correct the version of {needed}, or the range"
    return Reason(what, why, f"{mend}; or {eject}; then release prepare" if eject else f"{mend}; then release prepare")


def _needing(one: Frozen, needed: str, range: str) -> str:
    return f"{one.repository} {one.version}: it requires {needed} {range}".rstrip()
