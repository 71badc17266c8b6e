"""What the core needs from the outside, as Protocols. Adapters implement them; `tests/world` has honest fakes.

Every method may raise `Unreachable` (the outside did not answer). Methods that change something outside say what they
raise when it did not work; none of them decides anything about the train.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

import msgspec

from core.builds import Declared as Declared
from core.builds import Required as Required
from core.journal import SealRecord
from core.observations import Facts, Observation
from core.records import Records, Transaction
from core.registry import App, Argv, Package, Sha, Target
from core.releases import Artefact
from core.repositories import Repositories
from core.words import short


class Clock(Protocol):
    """Time, so that tests own it."""

    def now(self) -> datetime: ...
    async def sleep(self, seconds: float) -> None: ...


# ── package registries ─────────────────────────────────────────────────────────────────────────────────────────────


class Dependency(msgspec.Struct, frozen=True):
    """One dependency that the files of a consumer name.

    `by_reference`: from a branch, commit, address or path, in its manifests or in its lock. `locked`: its version in
    the lock, of what the lock takes from a registry. `unread_in`: the file, and its line, that names it and that
    nobody here can re-pin.
    """

    name: str
    by_reference: bool
    locked: str | None = None
    unread_in: str = ""


class Origin(StrEnum):
    """Where a lock takes an entry from; WORKSPACE: the consumer's own tree."""

    REGISTRY = "registry"
    GIT = "git"
    PATH = "path"
    URL = "url"
    WORKSPACE = "workspace"


class Locked(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One entry of a lock; a name that is locked more than once has several.

    `source`: the address as the lock says it, without the commit. `commit`: of what comes from git. `hashes`: what the
    lock says of the bytes, sorted (`sha256:…`). `requires`: the names that the lock says it needs, sorted.
    """

    name: str
    origin: Origin
    version: str = ""
    source: str = ""
    commit: Sha | None = None
    hashes: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()

    @property
    def exact(self) -> str:
        """What a pin compares: the commit of what comes from git, else the version."""
        return self.commit or self.version


class Listing(msgspec.Struct, frozen=True):
    """What the registry says of a version: file name → sha256 (hex), empty when not listed; whose it seems to be."""

    files: Mapping[str, str] = {}
    yanked: bool = False
    owner: str = ""


class Pin(msgspec.Struct, frozen=True, order=True):
    """What a consumer is to take; `distribution` is the name in the registry of `ecosystem`.

    `commit`: instead of a published version (then blank), a commit of the package's own repository (spec 5.4).
    """

    package: str
    ecosystem: str
    distribution: str
    version: str = ""
    commit: Sha | None = None

    @property
    def exact(self) -> str:
        """What the lock has to say."""
        return self.commit or self.version

    @property
    def exact_in_words(self) -> str:
        """The same, for people."""
        return short(self.commit) if self.commit else self.version


class Ecosystem(Protocol):
    """A package registry and its tools. One contract suite holds over all of them.

    `manifest` and `lock` are the paths of a consumer's first manifest and of its one lock, from its root;
    `credentials` names of environment variables that publishing needs; `tools` are programs that must be installed.
    """

    name: str
    manifest: str
    lock: str
    credentials: tuple[str, ...]
    tools: tuple[str, ...]

    def version(self, package: Package, text: bytes) -> str:
        """The version that `package.version_file` declares in plain words; blank where a build computes it. Pure."""
        ...

    def declared(self, package: Package, files: Sequence[Path]) -> Declared:
        """What the built `files` say, and never what the project says; blocks while it reads them.

        Refused with every problem: files of more than one release, and whatever the registry would not take.
        """
        ...

    def accepts(self, range: str, version: str) -> bool:
        """True when `range` allows `version`; a prerelease only where the range names one. Pure."""
        ...

    def consumer_files(self, paths: Collection[str]) -> tuple[str, ...]:
        """Which of all `paths` at a commit to read of a consumer: every manifest, the lock, the tool's settings, and
        files of kinds that nobody here can re-pin. Empty when it has nothing of this ecosystem. Pure.
        """
        ...

    def dependencies(self, files: Mapping[str, bytes]) -> tuple[Dependency, ...]:
        """What the `consumer_files` of a consumer name, and what its lock does not take from a registry. Pure."""
        ...

    def repinned(self, files: Mapping[str, bytes], pins: Sequence[Pin]) -> Mapping[str, bytes]:
        """Those of `files` that change when each pinned dependency is at exactly `==version`, wherever it stands; all
        else to the letter as before. Pure.

        A pin to a commit keeps where the repository is; Refused when the dependency does not come from git.
        """
        ...

    def locked(self, files: Mapping[str, bytes]) -> tuple[Locked, ...]:
        """Every entry of the lock among `files`, sorted; none when there is no lock. Pure."""
        ...

    def is_newer(self, version: str, than: str) -> bool:
        """Compares versions as versions (L15)."""
        ...

    async def build(
        self, package: Package, worktree: Path, out: Path, *, epoch: int, log: Path
    ) -> tuple[Artefact, ...]:
        """Build reproducibly from a clean worktree into the empty folder `out`; StepFailed when it fails."""
        ...

    async def listing(self, package: Package, version: str) -> Listing:
        """What the registry's own records say of `version`."""
        ...

    async def available(self, package: Package) -> frozenset[str]:
        """Every version that the registry offers, none of them yanked."""
        ...

    async def is_installable(self, package: Package, version: str) -> bool:
        """True when the surface that installers read offers `version` (L14)."""
        ...

    def publish_commands(self, package: Package, names: Sequence[str]) -> tuple[Argv, ...]:
        """The exact argvs that `publish` runs where the files with these names lie (L03). Pure."""
        ...

    async def publish(self, package: Package, files: Sequence[Path], *, log: Path) -> None:
        """Push `files`. StepFailed: look, then maybe try again; Refused: never (taken, yanked, not allowed)."""
        ...

    def lock_commands(self, pins: Sequence[Pin]) -> tuple[Argv, ...]:
        """The exact argvs that `refresh_lock` runs. Pure."""
        ...

    async def refresh_lock(self, worktree: Path, pins: Sequence[Pin], *, log: Path) -> None:
        """Resolve in `worktree` after its manifest was re-pinned, taking nothing from a stale cache.

        StepFailed: worth another try (propagation, network); Refused: trying again cannot help.
        """
        ...


# ── targets ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Needs(msgspec.Struct, frozen=True):
    """What must be there before a step may start: files at its commit, environment variables, programs, artefacts."""

    files: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    artefacts: tuple[Artefact, ...] = ()


class Strategy(Protocol):
    """A way to deploy (spec 6.7). `options` were validated by the strategy's own model when the config loaded."""

    def needs(self, app: App, target: Target) -> Needs: ...

    def commands(self, app: App, target: Target, commit: str) -> tuple[Argv, ...]:
        """The exact argvs that `deploy` runs for `commit` (a sha, or a word standing for one not known yet). Pure."""
        ...

    async def observe(self, app: App, target: Target, commit: Sha) -> Observation:
        """Does the target say that it runs `commit`? Blind when it cannot say at all (L41)."""
        ...

    async def deploy(self, app: App, target: Target, commit: Sha, *, log: Path) -> Facts:
        """Deploy and prove it, bounded. Facts: `verified` (bool), and what the target said.

        StepFailed: known bad; NeedsOperator: it may have happened.
        """
        ...

    def run_argv(self, app: App, target: Target, command: Argv) -> Argv | None:
        """The one argv that runs a post-deploy command there (spec 7.2); None: nowhere to run it (spec 7.4). Pure."""
        ...

    async def run(self, app: App, target: Target, command: Argv, commit: Sha, *, log: Path) -> Facts:
        """Run a post-deploy command where `commit` was deployed.

        StepFailed: it said no, or never started; NeedsOperator: never heard of again.
        """
        ...

    async def rollback(self, app: App, target: Target, bad: Sha, before: Sha | None) -> tuple[str, ...]:
        """Commands, as one would type them, that undo `bad` and are valid now (spec 8.4); empty: none is known.

        `before`: where main was; None: nobody knows.
        """
        ...


class Finished(msgspec.Struct, frozen=True):
    """A child process that ended: exit code, and its output (masked; both streams, bounded) for classifying."""

    exit_code: int
    stdout: str
    stderr: str


class How(TypedDict, total=False):
    """How a child runs: `env` adds plain variables, `credentials` names secrets to pass on, `log` gets all output.

    `timeout_seconds`: 600 unless said otherwise.
    """

    env: Mapping[str, str]
    credentials: Sequence[str]
    timeout_seconds: float
    log: Path | None
    stdin: bytes


class Processes(Protocol):
    """The one door to children: argv lists only, own group, deadline, allow-listed environment, masked output."""

    def finds(self, program: str) -> bool:
        """True when a child called `program` could start."""
        ...

    async def run(self, argv: Argv, *, cwd: Path | None = None, **how: Unpack[How]) -> Finished:
        """Run to the end.

        Unreachable when the program is missing; StepFailed when the deadline passed (the whole group is dead then).
        """
        ...


class Credentials(Protocol):
    """Secrets from the environment, by name; their values never leave the adapters."""

    def has(self, name: str) -> bool: ...
    def mask(self, text: str) -> str: ...


class Smoke(Protocol):
    """The read-only look at a production site (spec 8.1)."""

    async def check(self, app: App) -> SealRecord:
        """GET everything that the suite of `app` lists. Never raises for a bad site: that is a red seal."""
        ...


class ArtefactShelf(Protocol):
    """Built files kept by content hash (spec 5.5)."""

    def keep(self, path: Path) -> Artefact:
        """Copy the file at `path` in; keeping the same bytes twice is one file."""
        ...

    def lay_out(self, artefacts: Sequence[Artefact], folder: Path) -> tuple[Path, ...]:
        """Put the files under their names into `folder`, after comparing their hashes; Refused when one is missing."""
        ...

    def missing(self, artefacts: Sequence[Artefact]) -> tuple[Artefact, ...]: ...


# ── together ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """How long the train waits for the world, in seconds; every wait is bounded."""

    install_seconds: float = 900
    install_poll_seconds: float = 3
    look_tries: int = 3
    publish_tries: int = 3
    lock_tries: int = 6
    backoff_seconds: float = 2
    gate_seconds: float = 3600
    seal_seconds: float = 20


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a step may touch, handed to it by the engine.

    `log`: where the log of this step goes. `fenced`: a write transaction that only the lease's holder can commit.
    """

    clock: Clock
    repositories: Repositories
    ecosystems: Mapping[str, Ecosystem]
    strategies: Mapping[str, Strategy]
    processes: Processes
    credentials: Credentials
    smoke: Smoke
    shelf: ArtefactShelf
    records: Records
    fenced: Callable[[], AbstractAsyncContextManager[Transaction]]
    scratch: Path
    log: Path
    waits: Waits = Waits()
    satellites_at_once: int = 1
    lanes_at_once: int = 8
    configuration: Mapping[str, str] = {}
    """See `core.train.confirmed`."""
