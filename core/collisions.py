"""What must not stand in one list of repositories: what would ship unconfirmed, or could never ship. Pure.

Each rule names both sides. A repository or a target is known by where it is, however its address is written.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, combinations
from typing import TypeVar

from core.errors import Reason
from core.registry import App, Package, Place, Registry, Repository

T = TypeVar("T", bound=Repository)
_DEFAULT_PORTS = {"ssh": "22", "http": "80", "https": "443", "git": "9418"}


def problems(registry: Registry) -> list[Reason]:
    """Every rule that the list breaks, in the order of the rules."""
    repositories = list(registry.repositories.values())
    packages, apps = list(registry.packages.values()), list(registry.apps.values())
    return [
        *_hubs(apps),
        *(
            Reason(f"{name} is a package and an app", "a name means one repository", "rename one of them")
            for name in registry.packages.keys() & registry.apps.keys()
        ),
        *chain.from_iterable(_branches(one) for one in repositories),
        *_shared(repositories, lambda one: place_of(one.url), "are one repository", "keep one of them"),
        *_shared(packages, _published, "are published as one package", "give each a published_as of its own"),
        *chain.from_iterable(_addresses(app) for app in apps),
        *_targets(apps),
    ]


def place_of(url: str) -> str:
    """Where `url` leads, however it is written: ssh and https of one host are one place, with `.git` or without."""
    scp = None if "://" in url else re.match(r"(?:[^@/:]+@)?([^/:]+):(?!/?$)(.*)", url)
    if scp:
        return _placed(scp[1], "", scp[2])
    if "://" not in url:
        return posixpath.normpath(url)
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    if scheme == "file":
        return posixpath.normpath(f"/{_decoded(path)}")
    host, _, port = authority.rpartition("@")[2].partition(":")
    return _placed(host, port if port != _DEFAULT_PORTS.get(scheme, "") else "", path)


def _decoded(path: str) -> str:
    return re.sub("%([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), path)


def _placed(host: str, port: str, path: str) -> str:
    path = posixpath.normpath("/" + _decoded(path).strip("/")).removesuffix(".git")
    return f"{host.lower()}{f':{port}' if port else ''}{path}"


def _published(package: Package) -> str:
    """The registry and the name, in the one spelling of PEP 503: others refuse names that differ in this only."""
    return f"{package.ecosystem}/{re.sub(r'[-_.]+', '-', package.distribution).lower()}"


def _hubs(apps: Iterable[App]) -> Iterator[Reason]:
    hubs = [app.name for app in apps if app.hub]
    if len(hubs) > 1:
        yield Reason("two hubs", f"{', '.join(hubs)} all say `hub: true`", "keep one; the rest are satellites")


def _branches(one: Package | App) -> Iterator[Reason]:
    release, main = (name.removeprefix("refs/heads/").casefold() for name in (one.release_branch, one.main_branch))
    if release == main:
        why = f"a prepare merges into {one.release_branch}, and nobody would have confirmed that for {one.main_branch}"
        yield Reason(f"{one.name} collects its tasks on its main branch", why, "give release_branch a name of its own")


def _addresses(app: App) -> Iterator[Reason]:
    smoke = app.prod_deploy.smoke_url if app.prod_deploy else None
    if smoke and app.production_url and smoke.rstrip("/") != app.production_url.rstrip("/"):
        why = f"prod_deploy.smoke_url is {smoke}, production_url is {app.production_url}"
        yield Reason(f"{app.name} has two production addresses", why, "keep one of the two")
    qa, production = app.qa_deploy, app.prod_deploy
    if qa and production and not qa.place and (qa.strategy, qa.options) == (production.strategy, production.options):
        why = "qa_deploy and prod_deploy are the same, so a prepare would reach production"
        yield Reason(f"{app.name} has its QA in production", why, "give qa_deploy a target of its own")


def _targets(apps: Iterable[App]) -> Iterator[Reason]:
    """Two targets at one place, or judged by one address: one would be taken for the other."""
    found = [
        (f"{place.value} of {app.name}", target.place, app.qa_url if place is Place.QA else app.base_url)
        for app in apps
        for place in Place
        if (target := app.target(place))
    ]
    for (name, to, url), (other, other_to, other_url) in combinations(found, 2):
        if to and other_to and place_of(to) == place_of(other_to):
            yield Reason(f"{name} and {other} are one target", f"both deploy to {to}", "give each a target of its own")
        elif url and other_url and place_of(url) == place_of(other_url):
            why = f"both are looked at below {url}"
            yield Reason(f"{name} and {other} have one address", why, "give each its own smoke_url")


def _shared(ones: Iterable[T], key: Callable[[T], str], what: str, next_: str) -> Iterator[Reason]:
    """Those of `ones` whose `key` is the same."""
    groups: dict[str, list[T]] = {}
    for one in ones:
        groups.setdefault(key(one), []).append(one)
    for shared, group in groups.items():
        if len(group) > 1:
            names = " and ".join(one.name for one in group)
            yield Reason(f"{names} {what}", f"it is {shared}", next_)
