"""The plan of every kind of train: reading it is reading the release process (spec 6.1, 6.3)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.journal import RunState
from core.registry import App, Package, Registry, Sha, Target
from core.releases import Artefact, Frozen, Release, ReleaseState
from core.tasks import Task
from core.train.plan import Plan, decoded, plan_problems, ship_plan
from core.train.steps import Advance, AnyStep, Deploy, Gate, PostDeploy, Publish, Record, Repin, Seal
from tests.world.toy_train import FILES, OLIVE, RELEASE, WHOLE_TRAIN, Station, draft, lay_out, registry, registry_of

PINNED: Mapping[str, Mapping[str, bytes]] = FILES | {"hub": {"needs.txt": b"money==1.0.0\n"}, "turf": {}}
ONE_CONSUMER = FILES | {"turf": {"needs.txt": b"money@release\n"}}
NOW = datetime(2026, 1, 1, tzinfo=UTC)

HAPPY: dict[str, tuple[tuple[Task, ...], Mapping[str, Mapping[str, bytes]], list[str]]] = {
    "everything": (
        WHOLE_TRAIN,
        FILES,
        [
            "check every package: gate:ledger",
            "publish, level 1: publish:money tag:money",
            "publish, level 2: publish:ledger tag:ledger",
            "re-pin every consumer: repin:hub | repin:turf",
            "gate what will ship: gate:hub | gate:docs",
            "advance the packages: advance:ledger | advance:money",
            "ship the hub: advance:hub deploy:hub",
            "ship the satellites: advance:turf deploy:turf | advance:docs",
            "post-deploy commands: post-deploy:seats",
            "seal every app: seal:hub | seal:turf",
            "record: record:r1",
        ],
    ),
    "apps only, and a task over two of them": (
        (draft("seats", "hub", "turf"), draft("words", "docs", depends_on=("seats",))),
        PINNED,
        [
            "gate what will ship: gate:hub | gate:docs",
            "ship the hub: advance:hub deploy:hub",
            "ship the satellites: advance:turf deploy:turf | advance:docs",
            "seal every app: seal:hub | seal:turf",
            "record: record:r1",
        ],
    ),
    "one package and one consumer": (
        (draft("coin", "money"), draft("odds", "turf")),
        ONE_CONSUMER,
        [
            "publish: publish:money tag:money",
            "re-pin every consumer: repin:turf",
            "advance the packages: advance:money",
            "ship the satellites: advance:turf deploy:turf",
            "seal every app: seal:turf",
            "record: record:r1",
        ],
    ),
    "a package that nobody consumes": (
        (draft("coin", "money"),),
        FILES,
        ["publish: publish:money tag:money", "advance the packages: advance:money", "record: record:r1"],
    ),
    "the hub alone": (
        (draft("desk", "hub"),),
        PINNED,
        [
            "gate what will ship: gate:hub",
            "ship the hub: advance:hub deploy:hub",
            "seal every app: seal:hub",
            "record: record:r1",
        ],
    ),
    "a satellite alone": (
        (draft("odds", "turf"),),
        PINNED,
        ["ship the satellites: advance:turf deploy:turf", "seal every app: seal:turf", "record: record:r1"],
    ),
    "an app with no deploy target": (
        (draft("words", "docs"),),
        FILES,
        ["gate what will ship: gate:docs", "ship the satellites: advance:docs", "record: record:r1"],
    ),
}


def shape(plan: Plan) -> list[str]:
    """A line for each phase; lanes side by side are separated by a bar."""
    return [
        f"{phase.name}: {' | '.join(' '.join(step.id for step in lane.steps) for lane in phase.lanes)}"
        for phase in plan.phases
    ]


def with_app(registered: Registry, name: str, **other: object) -> Registry:
    """The registry with another description of one app."""
    changed = msgspec.structs.replace(registered.apps[name], **other)
    return Registry(registered.packages, {**registered.apps, name: changed})


# ── happy paths ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("train", HAPPY)
async def test_a_train_is_planned_shown_and_shipped(train: str, station: Station) -> None:
    drafts, files, expected = HAPPY[train]
    lay_out(station.world, files=files)
    await station.prepared(*drafts)
    dry = await station.conductor.plan(RELEASE)
    assert dry.plan
    assert shape(dry.plan) == expected
    assert (await station.conductor.offer(OLIVE, RELEASE)).proposal.digest == dry.digest
    assert (await station.shipped()).state is RunState.FINISHED
    assert station.world.impossible == []
    assert {step.id for step in (await station.progress()).steps} == {step.id for step in dry.plan.steps}


async def test_the_point_of_no_return_is_the_first_act_that_others_see(assembled: Station) -> None:
    """L52: the line is drawn in the plan."""
    plan = (await assembled.conductor.plan(RELEASE)).plan
    assert plan and plan.point_of_no_return
    assert plan.point_of_no_return.name == "publish, level 1"


# ── what is in a plan ──────────────────────────────────────────────────────────────────────────────────────────────


def a_release(*frozen: Frozen, state: ReleaseState = ReleaseState.ASSEMBLED, members: tuple[str, ...] = ()) -> Release:
    return Release(slug=RELEASE, state=state, members=members, frozen=frozen, opened_by="olive", opened_at=NOW)


def froze(name: str, **other: object) -> Frozen:
    return msgspec.structs.replace(Frozen(repository=name, sha=Sha(name)), **other)


def test_a_post_deploy_command_runs_on_the_hub_of_its_task_else_on_its_only_deployed_app() -> None:
    """Spec 7.1, 7.4: in train order."""
    tasks = [
        draft("both", "turf", "hub", command="rake both"),
        draft("one", "docs", "turf", command="rake one"),
        draft("none", "turf", command="none"),
    ]
    found = ship_plan(a_release(froze("turf"), froze("hub"), froze("docs")), tasks, registry()).steps
    assert [(one.task, one.app.name) for one in found if isinstance(one, PostDeploy)] == [
        ("both", "hub"),
        ("one", "turf"),
    ]


@pytest.mark.parametrize(
    ("repositories", "why"),
    [
        (("docs",), "none of its repositories is deployed anywhere"),
        (("money",), "none of its repositories is deployed anywhere"),
        (("turf", "docs"), "several satellites could"),
    ],
)
def test_a_command_with_nowhere_to_run_is_a_problem_of_the_plan(repositories: tuple[str, ...], why: str) -> None:
    """Spec 7.4."""
    registered = registry()
    if why.startswith("several"):
        registered = with_app(registered, "docs", prod_deploy=registered.apps["turf"].prod_deploy)
    tasks = [draft("lost", *repositories, command="rake lost")]
    [problem] = plan_problems(a_release(*map(froze, repositories)), tasks, registered)
    assert problem.what == "the post-deploy command of lost has nowhere to run"
    assert problem.why == why


@pytest.mark.parametrize("state", [state for state in ReleaseState if state is not ReleaseState.ASSEMBLED])
def test_only_an_assembled_release_is_planned(state: ReleaseState) -> None:
    [problem] = plan_problems(a_release(state=state), [], registry())
    assert problem.what == f"r1 is {state}"


def test_every_problem_of_the_record_comes_at_once() -> None:
    tasks = [draft("pay", "money", "hub"), draft("bad", "turf", command="rake 'x")]
    hub, gone = froze("hub", by_reference=("ledger", "money")), froze("gone")
    assert [problem.what for problem in plan_problems(a_release(hub, gone), tasks, registry())] == [
        "money has no frozen commit",
        "turf has no frozen commit",
        "gone is frozen but not registered",
        "hub takes ledger from a branch",
        "hub takes money from a branch",
        'malformed command: "rake \'x"',
    ]


def test_what_is_deployed_nowhere_but_has_an_address_is_sealed() -> None:
    registered = with_app(registry(), "docs", production_url="http://docs")
    assert shape(ship_plan(a_release(froze("docs")), [], registered))[-2] == "seal every app: seal:docs"


# ── properties ─────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = ["ant", "bee", "cat", "dog"]
SHAS = st.sampled_from(["1" * 40, "2" * 40])
COMMANDS = st.none() | st.just(("make", "check"))


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, Registry, Release]:
    """The plan of some train: packages that need earlier ones, one hub at the most, apps that take from branches."""
    packages, apps, frozen = list[Package](), list[App](), list[Frozen]()
    for number in range(draw(st.integers(0, 3))):
        name, version = NAMES[number], draw(st.sampled_from(["1.0.0", "1.1.0"]))
        needs = draw(st.sets(st.sampled_from(NAMES[:number]))) if number else set[str]()
        packages.append(Package(name=name, url="x", ecosystem="toy", version_file="V", release_check=draw(COMMANDS)))
        artefact = Artefact(f"{name}-{version}.pkg", draw(SHAS), 1)
        frozen.append(
            froze(name, sha=draw(SHAS), version=version, artefacts=(artefact,), requires=tuple(sorted(needs)))
        )
    known = [package.name for package in packages]
    for number in range(draw(st.integers(0, 3))):
        name = f"app{number}"
        taken = sorted(draw(st.sets(st.sampled_from(known)))) if known else []
        where = Target(strategy="toy", options={"a": draw(st.integers(0, 1)), "b": [1]}, smoke_url="http://x")
        deployed = where if draw(st.booleans()) else None
        apps.append(App(name=name, url="x", hub=number == 1, test_cmd=draw(COMMANDS), prod_deploy=deployed))
        frozen.append(froze(name, sha=draw(SHAS), requires=tuple(taken), by_reference=tuple(taken)))
    registered, release = registry_of(draw(st.permutations(packages)), apps), a_release(*frozen)
    return ship_plan(release, [], registered), registered, release


@given(plans(), plans())
def test_two_plans_have_one_digest_exactly_when_they_are_equal(
    one: tuple[Plan, Registry, Release], other: tuple[Plan, Registry, Release]
) -> None:
    assert (one[0] == other[0]) == (one[0].digest == other[0].digest)


@given(plans())
def test_what_was_stored_is_what_was_confirmed(case: tuple[Plan, Registry, Release]) -> None:
    plan, registered, release = case
    assert decoded(plan.encoded()) == plan
    assert decoded(plan.encoded()).digest == plan.digest
    assert ship_plan(release, [], registered) == plan, "the same record gives the same plan"


@given(plans())
def test_the_order_of_a_ship_holds_for_every_train(case: tuple[Plan, Registry, Release]) -> None:
    """Spec 6.3."""
    plan, registered, release = case
    at = {step.id: number for number, phase in enumerate(plan.phases) for lane in phase.lanes for step in lane.steps}
    assert len(at) == len(plan.steps), "every step is there once"

    def are_before(some: Iterable[AnyStep], others: Iterable[AnyStep]) -> bool:
        return max((at[one.id] for one in some), default=-1) < min((at[one.id] for one in others), default=99)

    def of(*kinds: type, among: Collection[str] = tuple(registered.repositories)) -> list[AnyStep]:
        return [step for step in plan.steps if isinstance(step, kinds) and step.id.partition(":")[2] in among]

    for one in release.frozen:
        if one.repository in registered.packages:
            assert are_before(of(Publish, among=one.requires), of(Publish, among=[one.repository]))
    hub = [app.name for app in registered.apps.values() if app.hub]
    satellites = [app.name for app in registered.apps.values() if not app.hub]
    assert are_before(of(Gate, among=registered.packages), of(Publish))
    assert are_before(of(Publish), of(Repin))
    assert are_before(of(Repin), of(Gate, among=registered.apps))
    assert are_before(of(Gate), of(Advance, Deploy))
    assert are_before(of(Advance, Deploy, among=hub), of(Advance, Deploy, among=satellites))
    assert are_before(of(Advance, Deploy), of(Seal))


@given(plans())
def test_the_record_flips_last_and_wants_evidence_of_everything_else(case: tuple[Plan, Registry, Release]) -> None:
    """L26."""
    *others, record = case[0].steps
    assert isinstance(record, Record)
    assert set(record.evidence) == {step.id for step in others if not step.soft}


@given(plans())
def test_before_the_point_of_no_return_nothing_is_irreversible(case: tuple[Plan, Registry, Release]) -> None:
    plan = case[0]
    line = plan.point_of_no_return
    harmless = plan.phases[: plan.phases.index(line)] if line else plan.phases
    assert not [step for phase in harmless for lane in phase.lanes for step in lane.steps if step.irreversible]
    assert line is None or any(step.irreversible for lane in line.lanes for step in lane.steps)


def test_the_journal_knows_an_act_again_as_long_as_it_is_the_same_act() -> None:
    """A key is for ever: what was done for a plan counts for the next one where the act is the same."""
    before, after = (
        {step.id: step.key for step in ship_plan(a_release(froze("hub"), docs), [], registry()).steps}
        for docs in (froze("docs"), froze("docs", sha=Sha("other")))
    )
    assert {step for step in before if before[step] != after[step]} == {"gate:docs", "advance:docs"}
