"""Who goes before whom: by dependency level, packages before apps, the hub before its satellites. Pure and stable."""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Mapping, Sequence

from core.errors import Refused
from core.registry import App, Package, Registry
from core.tasks import Task


def levels(names: Sequence[str], requires: Mapping[str, Collection[str]]) -> list[list[str]]:
    """`names` in levels: whatever a name requires (among `names`) stands in an earlier level; given order within one.

    Refused when they require each other in a circle.
    """
    sorter = graphlib.TopologicalSorter({name: sorted(set(requires.get(name, ())) & set(names)) for name in names})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        circle = " → ".join(error.args[1])
        raise Refused(
            "packages require each other in a circle", circle, "break the circle; no order can ship it"
        ) from error
    found: list[list[str]] = []
    while sorter.is_active():
        ready = set(sorter.get_ready())
        found.append([name for name in names if name in ready])
        sorter.done(*ready)
    return found


def way(start: str, end: str, requires: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The shortest way from `start` to `end`, each requiring the next; empty when there is none."""
    came_from, ahead = {start: ""}, [start]
    for name in ahead:
        if name == end:
            found = [end]
            while before := came_from[found[-1]]:
                found.append(before)
            return tuple(reversed(found))
        new = [needed for needed in requires.get(name, ()) if needed not in came_from]
        came_from.update(dict.fromkeys(new, name))
        ahead += new
    return ()


def hub_first(apps: Sequence[App]) -> list[App]:
    """The hub, then the satellites in the given order (spec 6.3)."""
    return sorted(apps, key=lambda app: not app.hub)


def riding(tasks: Sequence[Task], registry: Registry) -> list[Package | App]:
    """The repositories of `tasks`: packages, hub, satellites."""
    names = {name for task in tasks for name in task.repositories}
    apps = hub_first([app for name, app in registry.apps.items() if name in names])
    return [*(package for name, package in registry.packages.items() if name in names), *apps]
