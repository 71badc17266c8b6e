"""RubyGems with the real `gem` and `bundle`: build, push, look, re-pin, lock. No decision about the train is made here.

Exit codes say too little (the same 7 is "not propagated" and "yanked"), so outcomes are read from the tools' own words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from adapters.ecosystems import gem_file, gem_versions, lock_changes
from adapters.ecosystems.gemfile import read_gemfile
from adapters.ecosystems.gemfile_lock import direct, entries
from adapters.ecosystems.gemfile_pins import pinned, pointed
from adapters.web import Web
from core.errors import Refused, StepFailed, Trouble, Unreachable
from core.ports import Declared, Dependency, Finished, Listing, Locked, Origin, Pin, Processes
from core.registry import Argv, Package
from core.releases import Artefact

_TAIL = {"Range": "bytes=-262144", "Accept-Encoding": "identity"}
_OF_A_CONSUMER = re.compile(r"Gemfile\.lock|(.*/)?Gemfile([._-](?!lock$).*)?|.*\.(gemfile|gemspec)")
_AUTH = re.compile(r"Access Denied|API key|doesn't have access|permission to push|credentials\.|OTP|multi-?factor")


class RubyGemsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where gems live. `host`: push and JSON API; `index_url`: the compact index that Bundler reads.

    `mirror`: make Bundler take everything from `index_url`, whatever source a Gemfile names.
    """

    host: str = "https://rubygems.org"
    index_url: str = "https://index.rubygems.org"
    mirror: bool = False


class RubyGems:
    """See `core.ports.Ecosystem`."""

    name = "rubygems"
    manifest = "Gemfile"
    lock = "Gemfile.lock"
    credentials: tuple[str, ...] = ("GEM_HOST_API_KEY",)
    tools: tuple[str, ...] = ("gem", "bundle")

    accepts = staticmethod(gem_versions.accepts)

    def __init__(self, processes: Processes, web: Web, settings: RubyGemsSettings) -> None:
        self._processes, self._web, self._settings = processes, web, settings
        # In a home where nothing is: Bundler locks to an installed gem that nobody published, and evaluates Gemfiles,
        # which must leave nothing to the next one. BUNDLE_APP_CONFIG: the repository's .bundle/config must not matter.
        self._env = {"GEM_HOME": "~/gems", "BUNDLE_USER_HOME": "~/bundle", "BUNDLE_APP_CONFIG": "~/app"}
        if settings.mirror:
            self._env["BUNDLE_MIRROR__ALL"] = settings.index_url

    version = staticmethod(gem_versions.declared)

    def declared(self, package: Package, files: Sequence[Path]) -> Declared:
        return gem_file.declared(files, self._settings.host)

    def consumer_files(self, paths: Collection[str]) -> tuple[str, ...]:
        """The Gemfile with what it may evaluate, gemspecs, and the lock."""
        return tuple(sorted(path for path in paths if _OF_A_CONSUMER.fullmatch(path)))

    def dependencies(self, files: Mapping[str, bytes]) -> tuple[Dependency, ...]:
        """Direct dependencies; a gem that the text hides in Ruby is found in the lock."""
        lock = files.get(self.lock, b"")
        locked = {one.name: one for one in entries(lock)}
        found = dict.fromkeys(direct(lock), False) | {
            one.name: True for one in locked.values() if one.origin is not Origin.REGISTRY
        }
        for call in read_gemfile(files, self.manifest).calls:
            found[call.name] = found.get(call.name, False) or call.by_reference
        published = {name: one.version for name, one in locked.items() if one.origin is Origin.REGISTRY}
        return tuple(Dependency(name, by_reference, published.get(name)) for name, by_reference in found.items())

    def repinned(self, files: Mapping[str, bytes], pins: Sequence[Pin]) -> Mapping[str, bytes]:
        """The Gemfile with `gem "NAME", "= V"`, or `ref: "COMMIT"`, for each pin, its other options kept."""
        versions = {pin.distribution: pin.version for pin in pins if not pin.commit}
        commits = {pin.distribution: pin.commit for pin in pins if pin.commit}
        after = {**files, **pinned(files, self.manifest, versions)}
        after |= pointed(after, self.manifest, commits)
        return {path: text for path, text in after.items() if text != files.get(path)}

    def locked(self, files: Mapping[str, bytes]) -> tuple[Locked, ...]:
        return entries(files.get(self.lock, b""))

    def is_newer(self, version: str, than: str) -> bool:
        return gem_versions.compare_versions(version, than) > 0

    async def build(
        self, package: Package, worktree: Path, out: Path, *, epoch: int, log: Path
    ) -> tuple[Artefact, ...]:
        """`gem build`, whose bytes depend on the clock unless SOURCE_DATE_EPOCH is set.

        From the gemspec that bears the name of the gem or of the repository, else from whichever there is.
        """
        there = sorted(path.name for path in worktree.glob("*.gemspec"))
        named = [one for one in (f"{package.distribution}.gemspec", f"{package.name}.gemspec") if one in there]
        gemspec = next(iter([*named, *there]), f"{package.distribution}.gemspec")
        env = {**self._env, "SOURCE_DATE_EPOCH": str(epoch)}
        done = await self._processes.run(("gem", "build", gemspec), cwd=worktree, env=env, log=log)
        built = re.search(r"^  File: ([^/\s]+\.gem)$", done.stdout, re.M)
        if done.exit_code or not built:
            next_ = f"mend {gemspec}, then release prepare; its log is {log}"
            raise StepFailed(f"{package.name} cannot be built", _said(done), next_)
        content = (worktree / built[1]).read_bytes()
        (out / built[1]).write_bytes(content)
        return (Artefact(built[1], hashlib.sha256(content).hexdigest(), len(content)),)

    async def listing(self, package: Package, version: str) -> Listing:
        """The versions API, which answers from the database and omits what was yanked."""
        name = package.distribution
        ours = [row for row in await self._rows(name) if row.number == version]
        files = {f"{name}-{row.full_number}.gem": row.sha for row in ours}
        return Listing(
            files, not files and await self._is_marked_yanked(name, version), ours[0].authors if ours else ""
        )

    async def available(self, package: Package) -> frozenset[str]:
        """Every version that the versions API has."""
        return frozenset(row.number for row in await self._rows(package.distribution))

    async def is_installable(self, package: Package, version: str) -> bool:
        """True when the compact index, which Bundler resolves from, has a line for `version`."""
        return await self._offers(package.distribution, version)

    def publish_commands(self, package: Package, names: Sequence[str]) -> tuple[Argv, ...]:
        """One push per file."""
        return tuple(("gem", "push", name, "--host", self._settings.host) for name in names)

    async def publish(self, package: Package, files: Sequence[Path], *, log: Path) -> None:
        """Push; the same bytes again are success. The server's words decide, in this order (a yank also says more)."""
        for argv, file in zip(self.publish_commands(package, [file.name for file in files]), files, strict=True):
            done = await self._processes.run(
                argv, cwd=file.parent, env=self._env, credentials=self.credentials, log=log
            )
            if trouble := _push_trouble(done, file.name):
                raise trouble

    def lock_commands(self, pins: Sequence[Pin]) -> tuple[Argv, ...]:
        """--update, or Bundler keeps the number it knew from git, published or not; --conservative, or others move."""
        return (("bundle", "lock", "--conservative", "--update", *(pin.distribution for pin in pins)),)

    async def refresh_lock(self, worktree: Path, pins: Sequence[Pin], *, log: Path) -> None:
        """`bundle lock`, then ask the index: Bundler is content with a gem that is only installed on this machine."""
        [argv] = self.lock_commands(pins)
        lock = worktree / self.lock
        before = lock.read_bytes() if lock.is_file() else b""
        done = await self._processes.run(argv, cwd=worktree, env=self._env, log=log)
        if trouble := _lock_trouble(done, pins):
            raise trouble
        if before:
            after = lock_changes.bundler_kept(before, lock.read_bytes())
            if wrong := lock_changes.moved(before, after, [pin.distribution for pin in pins]):
                lock.write_bytes(before)
                raise Refused.all(wrong)
            lock.write_bytes(after)
        for pin in pins:
            if not pin.commit and not await self._offers(pin.distribution, pin.version):
                raise _not_yet(pin, "it is installed on this machine, the index does not offer it")

    async def _rows(self, name: str) -> list[_Row]:
        url = f"{self._settings.host}/api/v1/versions/{name}.json"
        answer = await self._web.get(url)
        if answer.status not in (200, 404):
            raise Unreachable(
                f"{url} answers {answer.status}", "that is neither a listing nor 'not found'", "try again"
            )
        try:
            return msgspec.json.decode(answer.body, type=list[_Row]) if answer.status == 200 else []
        except msgspec.MsgspecError as error:
            raise Unreachable(f"{url} answers something else", str(error), "try again in a minute") from error

    async def _offers(self, name: str, version: str) -> bool:
        url = f"{self._settings.index_url}/info/{name}"
        answer = await self._web.get(url)
        if answer.status not in (200, 404):
            raise Unreachable(f"{url} answers {answer.status}", "that is neither an index nor 'not found'", "try again")
        lines = answer.body.decode(errors="replace").splitlines() if answer.status == 200 else []
        return any(line.split(" ")[0].partition("-")[0] == version for line in lines)

    async def _is_marked_yanked(self, name: str, version: str) -> bool:
        """An early warning: the end of the index marks recent yanks with a minus. Its silence proves nothing."""
        answer = await self._web.get(f"{self._settings.index_url}/versions", _TAIL)
        lines = answer.body.decode(errors="replace").splitlines() if answer.status in (200, 206) else []
        words = [line.split(" ") for line in lines if line.startswith(f"{name} ")]
        return any(f"-{version}" in word[1].split(",") for word in words if len(word) > 1)


class _Row(msgspec.Struct, frozen=True):
    number: str
    sha: str
    platform: str = "ruby"
    authors: str = ""

    @property
    def full_number(self) -> str:
        return self.number if self.platform == "ruby" else f"{self.number}-{self.platform}"


def _push_trouble(done: Finished, file: str) -> Trouble | None:
    text = done.stdout  # what the server said; stderr has the troubles of `gem` itself (toolchains.md 1)
    if not done.exit_code and ("Successfully registered gem" in text or "Gem was already pushed" in text):
        return None
    if re.search(r"A yanked version .*already exists", text):
        return Refused(f"{file} was yanked: bump and re-run", _said(done), "bump the version, then release prepare")
    if "Repushing of gem versions is not allowed" in text:
        return Refused(f"{file} is taken by other bytes", _said(done), "bump the version, then release prepare")
    if _AUTH.search(text) or "is not allowed by the gemspec" in done.stderr:
        return Refused(f"{file} may not be pushed", _said(done), "give GEM_HOST_API_KEY a key that may push it")
    return StepFailed(f"{file} was not pushed, as far as gem can tell", _said(done), "release resume looks again")


def _lock_trouble(done: Finished, pins: Sequence[Pin]) -> Trouble | None:
    text = " ".join(done.stderr.split())  # bundle wraps its lines
    if not done.exit_code:
        return None
    if "excluded by the cooldown setting" in text:
        why = "the Gemfile (`source …, cooldown: N`) or BUNDLE_COOLDOWN lets no gem in that was published just now"
        names = ", ".join(pin.distribution for pin in pins)
        next_ = f"take {names} from a source without a cooldown, or set it to 0, then release prepare"
        return Refused("bundle may not take what rides", f"{why}: {_said(done)}", next_)
    for pin in pins:  # 7 is also any other gem that is missing: the name counts (toolchains.md 1)
        if done.exit_code == 7 and f"Could not find gem '{pin.distribution} (= {pin.version})'" in text:
            return _not_yet(pin, "the index does not offer it")
    if done.exit_code == 17 and "Authentication" not in text and "Access token" not in text:
        return StepFailed("the gem index does not answer", _said(done), "release resume, when it does")
    return Refused(
        "bundle cannot lock this Gemfile", _said(done), "make `bundle lock` work there, then release prepare"
    )


def _not_yet(pin: Pin, why: str) -> StepFailed:
    return StepFailed(f"{pin.distribution} {pin.version} cannot be locked yet", why, "release resume, when it is there")


def _said(done: Finished) -> str:
    """What a child said, for people: the beginning and the end of it; the log has everything."""
    lines = [line.strip() for line in f"{done.stderr}\n{done.stdout}".splitlines() if line.strip()]
    text = f"exit {done.exit_code}: {' / '.join(lines)}"
    return text if len(text) <= 600 else f"{text[:300]} … {text[-300:]}"
