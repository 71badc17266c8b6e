"""The repositories of a team: packages, the hub and the satellites, and how each reaches production.

Values only; `adapters/config.py` reads them from YAML. Cross-reference rules live here, so every face refuses alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NewType

import msgspec

from core.errors import Refused
from core.words import nearest

Sha = NewType("Sha", str)
Argv = tuple[str, ...]


def own_file(argv: Argv) -> str | None:
    """The file of the repository that `argv` runs; None where it is a program of the machine."""
    program = argv[0]
    return program.removeprefix("./") if "/" in program and not program.startswith("/") else None


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """What packages and apps have in common; `url` is anything git can fetch and push."""

    name: str
    url: str
    release_branch: str = "release"
    main_branch: str = "main"
    qa_test_cmd: Argv | None = None


class Package(Repository, frozen=True, kw_only=True, tag="package"):
    """A library repository that is published to the registry of its `ecosystem`.

    `version_file`: what it says is shown and compared with what is built; blank: the build alone says its version.
    """

    ecosystem: str
    version_file: str = ""
    published_as: str = ""
    release_check: Argv | None = None
    tag: str = "v{version}"

    @property
    def distribution(self) -> str:
        """The name in the package registry."""
        return self.published_as or self.name

    def tag_for(self, version: str) -> str:
        """The git tag that follows the publication of `version`."""
        return self.tag.format(version=version)


class Place(StrEnum):
    """Where an app can be brought to."""

    PRODUCTION = "production"
    QA = "QA"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where an app runs: a strategy of `adapters/deploys` and its options, as its own model validated them.

    `place`: the address that gets the code; blank where only a script knows. `revision_path`: path below `smoke_url`
    whose answer names the commit that serves (L41); None: it cannot say.
    """

    strategy: str
    place: str = ""
    options: Mapping[str, object] = {}
    smoke_url: str | None = None
    revision_path: str | None = None


class App(Repository, frozen=True, kw_only=True, tag="app"):
    """A deployed repository; without `prod_deploy` its main advances and nothing is deployed (spec 6.7)."""

    hub: bool = False
    emoji: str = "📦"
    test_cmd: Argv | None = None
    qa_deploy: Target | None = None
    prod_deploy: Target | None = None
    production_url: str | None = None

    def target(self, place: Place) -> Target | None:
        """How the app gets to `place`; None: it never does."""
        return self.qa_deploy if place is Place.QA else self.prod_deploy

    @property
    def qa_url(self) -> str | None:
        """Where QA looks at it; None: it has no QA, or nobody said where."""
        return self.qa_deploy.smoke_url if self.qa_deploy else None

    @property
    def base_url(self) -> str | None:
        """The one source of the production address (spec 8.5)."""
        return (self.prod_deploy.smoke_url if self.prod_deploy else None) or self.production_url


class Registry(msgspec.Struct, frozen=True):
    """Every repository that may ride a train, by name, in the order of the file."""

    packages: Mapping[str, Package]
    apps: Mapping[str, App]

    @property
    def repositories(self) -> dict[str, Package | App]:
        """Packages, then apps."""
        return {**self.packages, **self.apps}

    @property
    def distributions(self) -> dict[str, tuple[str, ...]]:
        """Ecosystem → the names in its registry that are ours, sorted."""
        found: dict[str, tuple[str, ...]] = {}
        for one in self.packages.values():
            found[one.ecosystem] = tuple(sorted({*found.get(one.ecosystem, ()), one.distribution}))
        return found

    def app(self, name: str) -> App:
        """The registered app `name`; Refused, for a package too, names the nearest one."""
        if name not in self.apps:
            raise Refused(*unknown("app", name, self.apps))
        return self.apps[name]


def unknown(kind: str, name: str, known: Mapping[str, object]) -> tuple[str, str, str]:
    """What, why and next for a name that is not registered."""
    guess = nearest(name, known)
    next_ = f"did you mean {guess}?" if guess else f"known: {', '.join(known) or 'none'}"
    return f"unknown {kind} {name!r}", "it is not in the registry", next_
