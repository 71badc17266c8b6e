"""What a run will do, as data: phases in order, lanes side by side, steps in order (design.md §1). Pure.

Reading `ship_plan` is reading how production gets the train; `core.train.prepare_plan` says how QA does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from core.errors import Reason, Refused
from core.order import hub_first, levels
from core.ports import Pin
from core.registry import App, Argv, Package, Place, Registry
from core.releases import Frozen, Release, ReleaseState
from core.tasks import Task, post_deploy_argv
from core.train.consumer import branches_out_of_reach
from core.train.step import Commit
from core.train.steps import Advance, AnyStep, Deploy, Gate, PostDeploy, Publish, Record, Repin, Seal, Tag


class Lane(msgspec.Struct, frozen=True):
    """Steps that follow one another."""

    name: str
    steps: tuple[AnyStep, ...]


class Phase(msgspec.Struct, frozen=True):
    """Lanes that do not depend on each other; `one_by_one` where they must not run side by side all the same."""

    name: str
    lanes: tuple[Lane, ...]
    one_by_one: bool = False


class Plan(msgspec.Struct, frozen=True):
    """Everything that a run will do; stored as JSON, equal exactly when its digest is equal."""

    release: str
    phases: tuple[Phase, ...]

    @property
    def steps(self) -> tuple[AnyStep, ...]:
        return tuple(step for phase in self.phases for lane in phase.lanes for step in lane.steps)

    @property
    def point_of_no_return(self) -> Phase | None:
        """The first phase that changes what others see; before it, a ship can be cancelled (L52)."""
        changing = (p for p in self.phases if any(step.irreversible for lane in p.lanes for step in lane.steps))
        return next(changing, None)

    def encoded(self) -> bytes:
        return msgspec.json.encode(self, order="sorted")

    @property
    def digest(self) -> str:
        """sha256 of the JSON, in hex."""
        return hashlib.sha256(self.encoded()).hexdigest()


def decoded(plan: bytes) -> Plan:
    """The plan that was stored; Refused when another version made it and nobody here can read it."""
    try:
        return msgspec.json.decode(plan, type=Plan)
    except msgspec.DecodeError as error:
        what = "this plan was made by another version of stationmaster"
        raise Refused(what, str(error), "release ship makes it anew; what is done already is recognised") from error


def legible(plan: bytes) -> Plan:
    """As `decoded`, to be shown and never to be run: what nobody can read has no steps."""
    try:
        return decoded(plan)
    except Refused:
        return Plan("", ())


def plan_problems(release: Release, tasks: Sequence[Task], registry: Registry) -> list[Reason]:
    """Every reason in the record not to start; while there is one, there is no plan."""
    if release.state is not ReleaseState.ASSEMBLED:
        next_ = "release prepare" if release.is_active else "release open NAME"
        return [Reason(f"{release.slug} is {release.state}", "only an assembled release ships", next_)]
    frozen = {one.repository: one for one in release.frozen}
    touched = [name for task in tasks for name in task.repositories]
    found = [
        Reason(f"{name} has no frozen commit", "it rides, and the freeze does not know it", "release prepare")
        for name in dict.fromkeys(touched)
        if name not in frozen
    ]
    found += [
        Reason(f"{name} is frozen but not registered", "the registry changed", "register it again, or release prepare")
        for name in frozen
        if name not in registry.repositories
    ]
    for one in frozen.values():
        if one.repository in registry.apps:
            found += [
                Reason(
                    f"{one.repository} takes {package} from a branch",
                    f"{package} does not ride, so there is no version to pin",
                    f"add a task of {package}, or pin a published version, then release prepare",
                )
                for package in one.by_reference
                if package not in frozen
            ]
            found += branches_out_of_reach(one.repository, one.stays, frozen)
    return [*found, *unroutable(tasks, registry)]


def ship_plan(release: Release, tasks: Sequence[Task], registry: Registry) -> Plan:
    """The plan of a release without `plan_problems`; Refused only when packages require each other in a circle."""
    frozen = {one.repository: one for one in release.frozen}
    packages = [registry.packages[name] for name in frozen if name in registry.packages]
    apps = hub_first([app for name, app in registry.apps.items() if name in frozen])
    pins = {app.name: _pins(frozen[app.name], frozen, registry) for app in apps}
    commits = {app.name: Commit(frozen[app.name].sha, f"repin:{app.name}" if pins[app.name] else None) for app in apps}
    hubs, satellites = [app for app in apps if app.hub], [app for app in apps if not app.hub]
    phases = [
        # All of them before any is public (L16).
        Phase("check every package", lanes([gate(p, Commit(frozen[p.name].sha), p.release_check)] for p in packages)),
        *_publish_phases(packages, frozen),
        Phase("re-pin every consumer", lanes(_repin(app, frozen[app.name], pins[app.name], registry) for app in apps)),
        # After the re-pin: what ships is what was tested (L19).
        Phase("gate what will ship", lanes([gate(app, commits[app.name], app.test_cmd)] for app in apps)),
        Phase(
            "advance the packages", lanes([Advance(repository=p, commit=Commit(frozen[p.name].sha))] for p in packages)
        ),
        Phase("ship the hub", lanes(_ship(app, commits[app.name]) for app in hubs)),
        Phase("ship the satellites", lanes(_ship(app, commits[app.name]) for app in satellites), one_by_one=True),
        Phase("post-deploy commands", lanes([post_deploys(tasks, commits, registry, Place.PRODUCTION)])),
        Phase("seal every app", lanes(_seal(release, app, commits[app.name]) for app in apps)),
    ]
    phases = [phase for phase in phases if phase.lanes]
    before = Plan(release.slug, tuple(phases))
    # What may fail without stopping the ship is no condition for its record.
    evidence = tuple(step.id for step in before.steps if not step.soft)
    return Plan(release.slug, (*phases, Phase("record", lanes([[Record(release=release.slug, evidence=evidence)]]))))


def lanes(lanes: Iterable[Iterable[AnyStep | None]]) -> tuple[Lane, ...]:
    """Lanes without their blanks, named after the subject of their first step."""
    kept = [tuple(step for step in lane if step) for lane in lanes]
    return tuple(Lane(steps[0].id.partition(":")[2], steps) for steps in kept if steps)


def gate(repository: Package | App, commit: Commit, argv: Argv | None) -> Gate | None:
    """The gate, where a command is declared."""
    return Gate(repository=repository, commit=commit, argv=argv) if argv else None


def post_deploys(
    tasks: Sequence[Task], commits: Mapping[str, Commit], registry: Registry, place: Place
) -> list[AnyStep]:
    """The tasks' commands, in train order; what has no target at `place` has none there either."""
    found: list[AnyStep] = []
    for task in tasks:
        command, home = post_deploy_argv(task.post_deploy_cmd), home_of(task, registry)
        if command and isinstance(home, App) and home.target(place):
            commit = commits[home.name]
            found.append(PostDeploy(task=task.slug, app=home, commit=commit, command=command, place=place))
    return found


def unroutable(tasks: Sequence[Task], registry: Registry) -> list[Reason]:
    """Why post-deploy commands could not run: they are malformed, or have nowhere to (spec 7.4)."""
    found: list[Reason] = []
    for task in tasks:
        try:
            if post_deploy_argv(task.post_deploy_cmd) and not isinstance(home := home_of(task, registry), App):
                found.append(home)
        except Refused as refusal:
            found += refusal.reasons
    return found


def home_of(task: Task, registry: Registry) -> App | Reason:
    """Where a task's post-deploy command runs: its hub, else its only deployed app (spec 7.4)."""
    apps = [registry.apps[name] for name in task.repositories if name in registry.apps]
    deployed = hub_first([app for app in apps if app.prod_deploy])
    if len(deployed) == 1 or (deployed and deployed[0].hub):
        return deployed[0]
    why = "several satellites could" if deployed else "none of its repositories is deployed anywhere"
    next_ = "split the task, or remove the command"
    return Reason(f"the post-deploy command of {task.slug} has nowhere to run", why, next_)


def _publish_phases(packages: Sequence[Package], frozen: dict[str, Frozen]) -> list[Phase]:
    """One phase a dependency level, so that nothing is live before what it requires (spec 6.4)."""
    by_name = {package.name: package for package in packages}
    order = levels(list(by_name), {name: frozen[name].requires for name in by_name})
    return [
        Phase(
            "publish" if len(order) == 1 else f"publish, level {number}",
            lanes(_publish(by_name[name], frozen[name]) for name in names),
        )
        for number, names in enumerate(order, 1)
    ]


def _publish(package: Package, frozen: Frozen) -> list[AnyStep]:
    version = frozen.version or ""
    return [
        Publish(package=package, version=version, frozen=frozen.sha, artefacts=frozen.artefacts),
        Tag(package=package, version=version, frozen=frozen.sha),
    ]


def _pins(app: Frozen, frozen: dict[str, Frozen], registry: Registry) -> tuple[Pin, ...]:
    return tuple(
        sorted(
            Pin(name, package.ecosystem, package.distribution, frozen[name].version or "")
            for name in app.by_reference
            if (package := registry.packages.get(name)) and name in frozen
        )
    )


def _repin(app: App, frozen: Frozen, pins: tuple[Pin, ...], registry: Registry) -> list[AnyStep]:
    return [Repin(app=app, frozen=frozen.sha, pins=pins, ours=registry.distributions)] if pins else []


def _ship(app: App, commit: Commit) -> list[AnyStep]:
    return [Advance(repository=app, commit=commit), *([Deploy(app=app, commit=commit)] if app.prod_deploy else [])]


def _seal(release: Release, app: App, commit: Commit) -> list[AnyStep]:
    return [Seal(release=release.slug, app=app, commit=commit)] if app.base_url else []
