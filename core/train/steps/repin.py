"""Re-pin a consumer from branch references to what is exact, and prove it by its lock: to the published versions for
production (spec 6.5), before that to the commits that ride, so that QA runs them (spec 5.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from core.errors import Refused, StepFailed, Unreachable
from core.observations import Already, Facts, NotYet, Observation
from core.ports import Ecosystem, Needs, Pin, Ports
from core.registry import App, Argv, Place, Sha
from core.repositories import Relation
from core.train.branch import pin_message
from core.train.consumer import elsewhere, moved, read
from core.train.step import Results, Step, drift


class Repin(Step, frozen=True, tag="repin"):
    """One consumer, all its dependencies at once; `pins` are sorted.

    `frozen`: where the release branch is. For QA, `work`: the commit whose manifest and lock are pinned; what is above
    it are pins that an earlier prepare had made. `ours`: ecosystem → every registered distribution, riding or not.
    """

    app: App
    frozen: Sha
    pins: tuple[Pin, ...]
    place: Place = Place.PRODUCTION
    work: Sha | None = None
    ours: Mapping[str, tuple[str, ...]] = {}

    @property
    def id(self) -> str:
        return f"{'qa-' if self.place is Place.QA else ''}repin:{self.app.name}"

    @property
    def title(self) -> str:
        to = ", ".join(f"{pin.package} {pin.exact_in_words}" for pin in self.pins)
        return f"re-pin {self.app.name} to {to}" + (" for QA" if self.place is Place.QA else "")

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.work or self.frozen, *(f"{pin.distribution}=={pin.exact}" for pin in self.pins))

    @property
    def irreversible(self) -> bool:
        return self.place is Place.PRODUCTION

    def needs(self, ports: Ports) -> Needs:
        return Needs(tools=tuple({tool: None for pin in self.pins for tool in ports.ecosystems[pin.ecosystem].tools}))

    def commands(self, ports: Ports, results: Results) -> tuple[Argv, ...]:
        return tuple(argv for ecosystem, pins in self._by_ecosystem(ports) for argv in ecosystem.lock_commands(pins))

    async def observe(self, ports: Ports, results: Results) -> Observation:
        if self.place is Place.QA and f"merge:{self.app.name}" not in results:
            await self._refuse_unpinnable(ports)
            return NotYet("pins what the merges come to")
        head = await ports.repositories.branch_head(self.app, self.app.release_branch)
        if head and await self._is_ours(ports, head):
            return Already({"sha": head})
        if head == self.frozen:
            await self._refuse_unpinnable(ports)
            await self._refuse_downgrade(ports)
            return NotYet()
        if pinned := await self._advanced(ports, results):
            return Already({"sha": pinned})
        since = "the merges" if self.place is Place.QA else "the freeze"
        raise Refused(drift(self.app, head, self.frozen, since))

    async def perform(self, ports: Ports, results: Results) -> Facts:
        files: dict[str, bytes] = {}
        async with ports.repositories.checkout(self.app, self._work) as tree:
            for ecosystem, pins in self._by_ecosystem(ports):
                files |= await self._pinned_files(ports, ecosystem, pins, tree)
        message = pin_message(self.pins)
        sha = await ports.repositories.derive(self.app, self.frozen, files, message)
        await ports.repositories.push(self.app, sha, self.app.release_branch, expected=self.frozen)
        return {"sha": sha}

    async def _pinned_files(
        self, ports: Ports, ecosystem: Ecosystem, pins: list[Pin], tree: Path
    ) -> Mapping[str, bytes]:
        """Manifests and lock, resolved again until the lock names the exact versions (L13); bounded."""
        before = await read(self.app, self._work, ecosystem, ports)
        files = dict(ecosystem.repinned(before, pins))
        for path, text in files.items():
            (tree / path).write_bytes(text)
        for remaining in reversed(range(ports.waits.lock_tries)):
            try:
                await ecosystem.refresh_lock(tree, pins, log=ports.log)
                files[ecosystem.lock] = (tree / ecosystem.lock).read_bytes()
                self._require_locked(ecosystem, before, {**before, **files}, pins)
                return files
            except (StepFailed, Unreachable):
                if not remaining:
                    raise
            await ports.clock.sleep(ports.waits.backoff_seconds * 2 ** (ports.waits.lock_tries - 1 - remaining))
        raise AssertionError("lock_tries is at least 1")

    def _require_locked(
        self, ecosystem: Ecosystem, before: Mapping[str, bytes], after: Mapping[str, bytes], pins: list[Pin]
    ) -> None:
        """The pins and nothing of ours from anywhere else; and nothing else has moved."""
        locked = ecosystem.locked(after)
        if wrong := elsewhere(locked, pins, self.ours.get(ecosystem.name, ())):
            raise StepFailed(
                f"the lock of {self.app.name} did not move",
                f"it has {', '.join(wrong)}",
                "release resume, when the index has caught up; when it has, take these from the registry everywhere",
            )
        if strange := moved(ecosystem.locked(before), locked, pins):
            raise Refused(
                f"the lock of {self.app.name} would change for more than is pinned",
                ", ".join(strange),
                f"lock {self.app.name} anew and commit {ecosystem.lock}, then release prepare",
            )

    async def _is_ours(self, ports: Ports, head: Sha) -> bool:
        """Recognise our own commit (L17): child of the frozen one, only manifests and lock, content equal to ours.

        Or the frozen one itself, where nothing is left to pin.
        """
        repositories = ports.repositories
        if head != self.frozen and await repositories.parents(self.app, head) != (self.frozen,):
            return False
        allowed: set[str] = set()
        for ecosystem, pins in self._by_ecosystem(ports):
            before = await read(self.app, self._work, ecosystem, ports)
            after = await read(self.app, head, ecosystem, ports)
            pinned, locked = ecosystem.repinned(before, pins), ecosystem.locked(after)
            if any(after.get(path) != text for path, text in {**before, **pinned}.items() if path != ecosystem.lock):
                return False
            if elsewhere(locked, pins, self.ours.get(ecosystem.name, ())):
                return False
            if moved(ecosystem.locked(before), locked, pins):
                return False
            allowed |= {*pinned, ecosystem.lock}
        return await repositories.changed_paths(self.app, self._work, head) <= allowed

    async def _advanced(self, ports: Ports, results: Results) -> Sha | None:
        """The commit that an earlier attempt made, once main contains it: then the release branch may move on."""
        pinned = Sha(str(results.get(self.id, {}).get("sha", "")))
        main = await ports.repositories.branch_head(self.app, self.app.main_branch) if pinned else None
        relation = await ports.repositories.relation(self.app, main, pinned) if main else Relation.UNKNOWN
        return pinned if relation in (Relation.EQUAL, Relation.AHEAD) else None

    async def _refuse_unpinnable(self, ports: Ports) -> None:
        """What comes from a path or a file has no commit to name; said before anything is merged for it."""
        for ecosystem, pins in self._by_ecosystem(ports):
            ecosystem.repinned(await read(self.app, self._work, ecosystem, ports), pins)

    async def _refuse_downgrade(self, ports: Ports) -> None:
        """A dependency never moves backwards (L15)."""
        for ecosystem, pins in self._by_ecosystem(ports):
            files = await read(self.app, self.frozen, ecosystem, ports)
            locked = {one.name: one.locked for one in ecosystem.dependencies(files)}
            for pin in (pin for pin in pins if not pin.commit):
                have = locked.get(pin.distribution)
                if have and ecosystem.is_newer(have, than=pin.version):
                    raise Refused(
                        f"{self.app.name} would go back to {pin.package} {pin.version}",
                        f"its lock has {have} already",
                        f"bump {pin.package} above {have}, then release prepare",
                    )

    @property
    def _work(self) -> Sha:
        return self.work or self.frozen

    def _by_ecosystem(self, ports: Ports) -> list[tuple[Ecosystem, list[Pin]]]:
        ordered = sorted(self.pins, key=lambda pin: (pin.ecosystem, pin.distribution))
        return [(ports.ecosystems[name], list(pins)) for name, pins in groupby(ordered, key=lambda pin: pin.ecosystem)]
