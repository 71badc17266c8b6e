"""The five laws of a step, for every strategy (design 1); a test module subclasses `StrategyContract`.

`world` is a fixture of the module: a real target, real git and a real commit that is not deployed yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from adapters.credentials import Secrets
from adapters.git import MirrorRepositories
from adapters.process import ChildProcesses
from adapters.web import Web
from bot.bootstrap import SystemClock
from core.errors import NeedsOperator, StepFailed
from core.observations import Already, Blind, CannotTell, NotYet
from core.ports import Strategy
from core.registry import App, Argv, Sha, Target
from tests.world.pushed_app import PushedApp


class HastyClock:
    """Time as it is, but of a sleep only the first `patience_seconds` are slept and the rest is skipped."""

    def __init__(self, patience_seconds: float = 60) -> None:
        self._patience, self._skipped = patience_seconds, timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._skipped

    async def sleep(self, seconds: float) -> None:
        slept = min(seconds, self._patience)
        await SystemClock().sleep(slept)
        self._skipped += timedelta(seconds=seconds - slept)


@dataclass
class Tools:
    """What every strategy is made of, and every argv that a child was started with."""

    processes: ChildProcesses
    repositories: MirrorRepositories
    web: Web
    clock: HastyClock = field(default_factory=HastyClock)
    spawned: list[Argv] = field(default_factory=list[Argv])

    @classmethod
    def under(cls, folder: Path, secrets: dict[str, str], path: str) -> Tools:
        """Children with a home of their own, `secrets` by name and this PATH."""
        (folder / "home").mkdir()
        processes = ChildProcesses(folder / "home", Secrets(secrets), {"PATH": path})
        tools = cls(processes, MirrorRepositories(processes, folder / "state"), Web(timeout_seconds=5))
        processes.on_spawn = tools.spawned.append
        return tools


@dataclass
class DeployWorld:
    """`target` can say what it runs. `seen()`: all that a look could have changed. `go_dark()`: it answers no more."""

    strategy: Strategy
    app: App
    target: Target
    source: PushedApp
    commit: Sha
    tools: Tools
    log: Path
    seen: Callable[[], object]
    go_dark: Callable[[], Awaitable[None]]

    async def deploy(self, commit: Sha | None = None, target: Target | None = None) -> dict[str, object]:
        """Deploy; the facts."""
        facts = await self.strategy.deploy(self.app, target or self.target, commit or self.commit, log=self.log)
        return dict(facts)

    async def observe(self, commit: Sha | None = None, target: Target | None = None) -> object:
        """Observe; what is seen."""
        return await self.strategy.observe(self.app, target or self.target, commit or self.commit)

    def with_options(self, **options: object) -> Target:
        """The target with some options changed."""
        return msgspec.structs.replace(self.target, options={**self.target.options, **options})


class StrategyContract:
    """The laws."""

    @pytest.fixture
    def world(self) -> DeployWorld:
        raise NotImplementedError

    async def test_a_look_changes_nothing(self, world: DeployWorld):
        await world.deploy()
        newer = world.source.commit()
        before = world.seen()
        assert isinstance(await world.observe(), Already)
        assert isinstance(await world.observe(newer), NotYet)
        assert world.seen() == before

    async def test_after_a_deploy_the_target_says_so_and_it_is_verified(self, world: DeployWorld):
        first, world.commit = world.commit, world.source.commit()
        await world.deploy(first)
        assert isinstance(await world.observe(), NotYet)
        assert (await world.deploy())["verified"] is True
        assert isinstance(await world.observe(), Already)

    async def test_a_deploy_survives_its_own_echo(self, world: DeployWorld):
        first, again = await world.deploy(), await world.deploy()
        assert first == again
        assert isinstance(await world.observe(), Already)

    async def test_a_target_that_does_not_answer_is_cannot_tell_and_never_not_yet(self, world: DeployWorld):
        await world.deploy()
        await world.go_dark()
        assert isinstance(await world.observe(), CannotTell)
        with pytest.raises((StepFailed, NeedsOperator)):
            await world.deploy()

    async def test_a_target_that_cannot_say_what_it_runs_is_blind_and_not_verified(self, world: DeployWorld):
        target = msgspec.structs.replace(world.target, revision_path=None)
        assert isinstance(await world.observe(target=target), Blind)
        facts = await world.deploy(target=target)
        assert facts["verified"] is False
        assert "not verified" in str(facts["proof"])

    async def test_what_is_shown_is_what_runs(self, world: DeployWorld):
        await world.deploy()
        for argv in world.strategy.commands(world.app, world.target, world.commit):
            assert world.tools.spawned.count(argv) == 1
        assert world.strategy.commands(world.app, world.target, "<re-pinned commit>")

    async def test_its_inputs_are_its_own_fields_and_options_come_back_from_json(self, world: DeployWorld):
        target = msgspec.json.decode(msgspec.json.encode(world.target), type=Target)
        assert world.strategy.commands(world.app, target, "x") == world.strategy.commands(world.app, world.target, "x")
        assert world.strategy.needs(world.app, target) == world.strategy.needs(world.app, world.target)
