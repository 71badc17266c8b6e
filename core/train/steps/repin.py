"""Re-pin a consumer from branch references to the published versions, and prove it by its lock (spec 6.5)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from core.errors import Refused, StepFailed, Unreachable
from core.observations import Already, Facts, NotYet, Observation
from core.ports import Ecosystem, Needs, Pin, Ports
from core.registry import App, Argv, Sha
from core.train.step import Results, Step, drift


class Repin(Step, frozen=True, tag="repin"):
    """One consumer, all its dependencies at once; `pins` are sorted."""

    irreversible = True
    app: App
    frozen: Sha
    pins: tuple[Pin, ...]

    @property
    def id(self) -> str:
        return f"repin:{self.app.name}"

    @property
    def title(self) -> str:
        return f"re-pin {self.app.name} to {', '.join(f'{pin.package} {pin.version}' for pin in self.pins)}"

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.frozen, *(f"{pin.distribution}=={pin.version}" for pin in self.pins))

    def needs(self, ports: Ports) -> Needs:
        return Needs(tools=tuple({tool: None for pin in self.pins for tool in ports.ecosystems[pin.ecosystem].tools}))

    def commands(self, ports: Ports, results: Results) -> tuple[Argv, ...]:
        return tuple(argv for ecosystem, pins in self._by_ecosystem(ports) for argv in ecosystem.lock_commands(pins))

    async def observe(self, ports: Ports, results: Results) -> Observation:
        head = await ports.repositories.branch_head(self.app, self.app.release_branch)
        if head == self.frozen:
            await self._refuse_downgrade(ports)
            return NotYet()
        if head and await self._is_ours(ports, head):
            return Already({"sha": head})
        raise Refused(drift(self.app, head, self.frozen))

    async def perform(self, ports: Ports, results: Results) -> Facts:
        files: dict[str, bytes] = {}
        async with ports.repositories.checkout(self.app, self.frozen) as tree:
            for ecosystem, pins in self._by_ecosystem(ports):
                files |= await self._pinned_files(ports, ecosystem, pins, tree)
        message = f"Pin {', '.join(f'{pin.distribution} {pin.version}' for pin in self.pins)}"
        sha = await ports.repositories.derive(self.app, self.frozen, files, message)
        await ports.repositories.push(self.app, sha, self.app.release_branch, expected=self.frozen)
        return {"sha": sha}

    async def _pinned_files(
        self, ports: Ports, ecosystem: Ecosystem, pins: list[Pin], tree: Path
    ) -> Mapping[str, bytes]:
        """Manifest and lock, resolved again until the lock names the exact versions (L13); bounded."""
        manifest, lock = tree / ecosystem.manifest, tree / ecosystem.lock
        manifest.write_bytes(ecosystem.repinned(manifest.read_bytes(), pins))
        for remaining in reversed(range(ports.waits.lock_tries)):
            try:
                await ecosystem.refresh_lock(tree, pins, log=ports.log)
                self._require_locked(ecosystem, lock.read_bytes(), pins)
                return {ecosystem.manifest: manifest.read_bytes(), ecosystem.lock: lock.read_bytes()}
            except (StepFailed, Unreachable):
                if not remaining:
                    raise
            await ports.clock.sleep(ports.waits.backoff_seconds * 2 ** (ports.waits.lock_tries - 1 - remaining))
        raise AssertionError("lock_tries is at least 1")

    def _require_locked(self, ecosystem: Ecosystem, lock: bytes, pins: list[Pin]) -> None:
        locked = ecosystem.locked_versions(lock)
        wrong = [pin for pin in pins if locked.get(pin.distribution) != pin.version]
        if wrong:
            have = ", ".join(
                f"{pin.distribution} {locked.get(pin.distribution, 'not from the registry')}" for pin in wrong
            )
            raise StepFailed(
                f"the lock of {self.app.name} did not move",
                f"it has {have}",
                "release resume, when the index has caught up",
            )

    async def _is_ours(self, ports: Ports, head: Sha) -> bool:
        """Recognise our own commit (L17): child of the frozen one, only manifest and lock, content equal to ours."""
        repositories = ports.repositories
        if await repositories.parents(self.app, head) != (self.frozen,):
            return False
        allowed: set[str] = set()
        for ecosystem, pins in self._by_ecosystem(ports):
            allowed |= {ecosystem.manifest, ecosystem.lock}
            before = await repositories.read(self.app, self.frozen, ecosystem.manifest)
            after = await repositories.read(self.app, head, ecosystem.manifest)
            lock = await repositories.read(self.app, head, ecosystem.lock)
            if before is None or lock is None or after != ecosystem.repinned(before, pins):
                return False
            locked = ecosystem.locked_versions(lock)
            if any(locked.get(pin.distribution) != pin.version for pin in pins):
                return False
        return await repositories.changed_paths(self.app, self.frozen, head) <= allowed

    async def _refuse_downgrade(self, ports: Ports) -> None:
        """A dependency never moves backwards (L15)."""
        for ecosystem, pins in self._by_ecosystem(ports):
            paths = ecosystem.dependency_files(None)
            files = {path: await ports.repositories.read(self.app, self.frozen, path) for path in paths}
            locked = {one.name: one.locked for one in ecosystem.dependencies(files)}
            for pin in pins:
                have = locked.get(pin.distribution)
                if have and ecosystem.is_newer(have, than=pin.version):
                    raise Refused(
                        f"{self.app.name} would go back to {pin.package} {pin.version}",
                        f"its lock has {have} already",
                        f"bump {pin.package} above {have}, then release freeze",
                    )

    def _by_ecosystem(self, ports: Ports) -> list[tuple[Ecosystem, list[Pin]]]:
        ordered = sorted(self.pins, key=lambda pin: (pin.ecosystem, pin.distribution))
        return [(ports.ecosystems[name], list(pins)) for name, pins in groupby(ordered, key=lambda pin: pin.ecosystem)]
