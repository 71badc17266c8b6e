"""What a prepare will do, as data: merge, eject, pin, test, bring to QA, and freeze what QA saw (spec 4, 5). Pure.

Reading `prepare_plan` is reading how a train gets to QA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.errors import Reason
from core.order import riding
from core.ports import Pin
from core.registry import App, Package, Place, Registry, Repository
from core.releases import Release
from core.tasks import Task
from core.train.consumer import branches_out_of_reach, staying
from core.train.plan import Phase, Plan, gate, lanes, post_deploys, unroutable
from core.train.queue import BranchQueue, Queue
from core.train.step import Commit
from core.train.steps import AnyStep, Deploy, Eject, Freeze, Merge, Repin
from core.train.steps.freeze import Ridden


def prepare_problems(release: Release, tasks: Sequence[Task], registry: Registry, queue: Queue) -> list[Reason]:
    """Every reason in the record not to start; that `release` is active, its `queue` says."""
    members = _staying(tasks, queue)
    if not members:
        why = "; ".join(f"{one.task}: {one.because}" for one in queue.ejections) or "it has no members"
        return [Reason(f"{release.slug} has nothing to prepare", why, "release add TASK")]
    repositories = riding(members, registry)
    found = [
        Reason(f"nobody can look at the QA of {app.name}", "its qa_deploy has no smoke_url", "add smoke_url to it")
        for app in repositories
        if isinstance(app, App) and app.qa_deploy and not app.qa_url
    ]
    # What is frozen ships whole: an ejected task would ride all the same, maybe in one of its repositories only (L25).
    found += [
        Reason(f"{one.repository} carries {one.task}, which does not ride", "an earlier prepare merged it", one.revert)
        for branch in queue.branches
        for one in branch.foreign
        if one.task and branch.repository in {repository.name for repository in repositories}
    ]
    aboard = {one.name for one in repositories}
    for branch in queue.branches:
        found += branches_out_of_reach(branch.repository, branch.stays, aboard)
    return [*found, *unroutable(members, registry)]


def left_behind(queue: Queue) -> tuple[Reason, ...]:
    """What rides beside an app that will not take it."""
    aboard = {branch.repository: "" for branch in queue.branches}
    return tuple(one for branch in queue.branches for one in staying(branch.repository, branch.stays, aboard))


def prepare_plan(release: Release, tasks: Sequence[Task], registry: Registry, queue: Queue) -> Plan:
    """The plan of a prepare without `prepare_problems`; an app without a QA target is merged and frozen only."""
    members, branches = _staying(tasks, queue), {branch.repository: branch for branch in queue.branches}
    repositories = riding(members, registry)
    apps = [one for one in repositories if isinstance(one, App)]
    pins = {app.name: _pins(branches[app.name], repositories, branches) for app in apps}
    commits = {one.name: _commit(branches[one.name], pins.get(one.name, ())) for one in repositories}
    hubs, satellites = [app for app in apps if app.hub], [app for app in apps if not app.hub]
    freeze = Freeze(
        release=release.slug,
        members=tuple(task.slug for task in members),
        riding=tuple(Ridden(one, commits[one.name]) for one in repositories),
        packages=tuple(registry.packages.values()),
    )
    phases = [
        Phase(
            "merge every repository", lanes([Merge(repository=one, queue=branches[one.name])] for one in repositories)
        ),
        Phase("eject what conflicts", lanes([[Eject(release=release.slug, ejection=one) for one in queue.ejections]])),
        Phase("pin what rides", lanes(_repin(app, branches[app.name], pins[app.name], registry) for app in apps)),
        Phase("test what QA will get", lanes([gate(one, commits[one.name], one.qa_test_cmd)] for one in repositories)),
        Phase("bring the hub to QA", lanes([_to_qa(app, commits[app.name])] for app in hubs)),
        Phase(
            "bring the satellites to QA", lanes([_to_qa(app, commits[app.name])] for app in satellites), one_by_one=True
        ),
        Phase("post-deploy commands on QA", lanes([post_deploys(members, commits, registry, Place.QA)])),
        Phase("freeze", lanes([[freeze]])),
    ]
    return Plan(release.slug, tuple(phase for phase in phases if phase.lanes))


def is_planned_for(plan: Plan, release: Release) -> bool:
    """True while those ride for whom this prepare was planned, whether or not it has ejected the others already."""
    staying = [step.members for step in plan.steps if isinstance(step, Freeze)]
    ejected = {step.ejection.task for step in plan.steps if isinstance(step, Eject)}
    return staying == [tuple(member for member in release.members if member not in ejected)]


def not_on_qa(plan: Plan) -> tuple[str, ...]:
    """The apps of a prepare that nobody will see on QA (spec 5.3)."""
    ridden = [one.repository for step in plan.steps if isinstance(step, Freeze) for one in step.riding]
    return tuple(app.name for app in ridden if isinstance(app, App) and app.qa_deploy is None)


def _staying(tasks: Sequence[Task], queue: Queue) -> list[Task]:
    """Those who are not ejected."""
    left = {ejection.task for ejection in queue.ejections}
    return [task for task in tasks if task.slug not in left]


def _pins(branch: BranchQueue, ridden: Sequence[Repository], branches: Mapping[str, BranchQueue]) -> tuple[Pin, ...]:
    """What the app of `branch` takes by reference and rides, at the commit that will be frozen (spec 5.4)."""
    return tuple(
        sorted(
            Pin(one.name, one.ecosystem, one.distribution, commit=branches[one.name].tip)
            for one in ridden
            if isinstance(one, Package) and one.name in branch.by_reference
        )
    )


def _commit(branch: BranchQueue, pins: Sequence[Pin]) -> Commit:
    if not pins:
        return Commit(branch.tip)
    return Commit(branch.work, f"qa-repin:{branch.repository}", tuple(pin.commit for pin in pins if pin.commit))


def _repin(app: App, branch: BranchQueue, pins: tuple[Pin, ...], registry: Registry) -> list[AnyStep]:
    if not pins:
        return []
    ours = registry.distributions
    return [Repin(app=app, frozen=branch.tip, pins=pins, place=Place.QA, work=branch.work, ours=ours)]


def _to_qa(app: App, commit: Commit) -> AnyStep | None:
    return Deploy(app=app, commit=commit, place=Place.QA) if app.qa_deploy else None
