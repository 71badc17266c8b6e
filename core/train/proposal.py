"""What the operator confirms: the plan beside the world as it is now, and every reason not to start (spec 6.1, 6.2)."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from core.errors import Reason, Refused, Trouble
from core.journal import Entry, EntryState
from core.observations import Already, Blind, CannotTell, Facts, NotYet
from core.ports import Ports
from core.registry import Argv, Registry
from core.releases import Release
from core.tasks import Task
from core.train.closure import gaps
from core.train.confirmed import bearing_on
from core.train.own_scripts import unrunnable
from core.train.plan import Lane, Plan, plan_problems, ship_plan
from core.train.step import drift, recalling
from core.train.steps import Advance, AnyStep, PostDeploy
from core.unforeseen import or_trouble

TYPED = 10
"""So many characters of a digest are shown and typed; all of them are stored and compared."""


class Outlook(StrEnum):
    """What a step will do, as the world stands."""

    RUN = "run"
    SKIP = "already so"
    ASK = "cannot tell"
    REFUSED = "refused"


class Preview(msgspec.Struct, frozen=True):
    """One step beside the world. `commands` are the exact argvs; `detail` is for people and not part of the digest."""

    step: str
    title: str
    outlook: Outlook
    commands: tuple[Argv, ...] = ()
    detail: str = ""


class Proposal(msgspec.Struct, frozen=True):
    """A plan to confirm; with a reason in `problems` there is nothing to confirm.

    `configuration`: what else the acts depend on, see `core.train.confirmed`.

    `unseen`: what rides although not everybody has looked at it, and what rides beside an app that will not take it;
    whoever confirms, confirms that.
    """

    release: str
    plan: Plan | None
    previews: tuple[Preview, ...]
    problems: tuple[Reason, ...]
    unseen: tuple[Reason, ...] = ()
    configuration: Mapping[str, str] = {}

    @property
    def digest(self) -> str:
        """sha256 in hex, equal exactly when all that is confirmed is; people type its first `TYPED` characters."""
        seen = [(p.step, p.outlook, p.commands) for p in self.previews]
        told = (self.plan and self.plan.digest, seen, self.unseen, sorted(self.configuration.items()))
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()

    @property
    def lines(self) -> tuple[str, ...]:
        """What is confirmed, a line each, so that a change can be told line by line."""
        return (
            *(f"{key}: {value}" for key, value in sorted(self.configuration.items())),
            *(
                f"{one.title} ({one.outlook})" + "".join(f": {shlex.join(argv)}" for argv in one.commands)
                for one in self.previews
            ),
            *map(str, self.unseen),
            *(f"not ready: {reason}" for reason in self.problems),
        )


async def propose(
    release: Release, tasks: Sequence[Task], registry: Registry, journal: Mapping[str, Entry], ports: Ports
) -> Proposal:
    """Look at everything once, side by side where it can be; bounded reads only, changes nothing (L51)."""
    problems = plan_problems(release, tasks, registry)
    if problems:
        return Proposal(release.slug, None, (), tuple(problems))
    try:
        plan = ship_plan(release, tasks, registry)
    except Refused as refusal:
        return Proposal(release.slug, None, (), refusal.reasons)
    proposal = await looked_over(plan, journal, ports)
    found = await gaps(release.frozen, tasks, registry.packages, ports)
    return msgspec.structs.replace(proposal, problems=(*proposal.problems, *found.problems, *found.unknown))


async def looked_over(plan: Plan, journal: Mapping[str, Entry], ports: Ports) -> Proposal:
    """Every step of `plan` beside the world, and every reason that the world gives not to start."""
    previews: list[Preview] = []
    results: dict[str, Facts] = {}
    problems: list[Reason] = []
    for phase in plan.phases:
        lanes = await asyncio.gather(*(_look_along(lane, journal, ports, results) for lane in phase.lanes))
        for looked in lanes:
            previews += looked.previews
            results |= looked.results
            problems += looked.problems
    once: dict[str, Reason] = {}
    for problem in problems:  # what many steps miss is one problem
        once.setdefault(problem.what, problem)
    configuration = bearing_on(plan.steps, ports.configuration)
    return Proposal(plan.release, plan, tuple(previews), tuple(once.values()), configuration=configuration)


class _Looked(msgspec.Struct):
    previews: list[Preview]
    results: dict[str, Facts]
    problems: list[Reason]


async def _look_along(lane: Lane, journal: Mapping[str, Entry], ports: Ports, earlier: Mapping[str, Facts]) -> _Looked:
    looked = _Looked([], {}, [])
    for step in lane.steps:
        await _look(step, step.entry_in(journal), ports, {**earlier, **looked.results}, looked)
    return looked


async def _look(
    step: AnyStep, entry: Entry | None, ports: Ports, results: Mapping[str, Facts], looked: _Looked
) -> None:
    """Append what one look says. Unreachable is a reason not to start: cannot tell is never no (L11)."""
    outlook, detail, problems = Outlook.RUN, "", list[Reason]()
    try:
        match await or_trouble(step.title, step.observe(ports, recalling(step, entry, results))):
            case Already(facts):
                outlook = Outlook.SKIP
                looked.results[step.id] = facts
            case NotYet(detail):
                problems += await _drift(step, ports)
            case CannotTell(why):
                problems.append(Reason(f"cannot tell whether to {step.title}", why, "try again in a minute"))
                outlook = Outlook.ASK
            case Blind(why):
                outlook, detail = _blind_outlook(step, entry, why)
                if outlook is Outlook.SKIP and entry:
                    looked.results[step.id] = entry.facts
                if outlook is Outlook.ASK:
                    next_ = "look yourself, then release resume with your answer: happened, or again"
                    problems.append(Reason(f"nobody can tell whether this happened: {step.title}", detail, next_))
    except Trouble as trouble:
        problems += trouble.reasons
        outlook = Outlook.REFUSED
    if outlook is not Outlook.SKIP:
        problems += await _missing(step, ports)
    if problems and step.soft:
        problems, detail = [], str(problems[0])
    looked.problems += problems
    commands = step.commands(ports, results)
    looked.previews.append(Preview(step.id, step.title, outlook, commands, detail))


def _blind_outlook(step: AnyStep, entry: Entry | None, why: str) -> tuple[Outlook, str]:
    """What the journal says of a step that the world keeps no trace of."""
    match entry.state if entry else None:
        case EntryState.DONE | EntryState.WARNED:
            at = f"at {entry.ended_at:%Y-%m-%d %H:%M} UTC" if entry and entry.ended_at else "before"
            once = (
                "; runs again only with a changed command" if isinstance(step, PostDeploy) and step.irreversible else ""
            )
            return Outlook.SKIP, f"ran {at}{once}"
        case EntryState.STARTED | EntryState.UNKNOWN:
            return Outlook.ASK, f"it was started and never heard of again; {why}"
        case EntryState.FAILED | None:
            return Outlook.RUN, ""


async def _drift(step: AnyStep, ports: Ports) -> list[Reason]:
    """Before anything moves, the release branch is where the freeze saw it (spec 6.1); a re-pin looks by itself."""
    if not isinstance(step, Advance) or step.commit.repinned_by:
        return []
    head = await ports.repositories.branch_head(step.repository, step.repository.release_branch)
    return [drift(step.repository, head, step.commit.frozen)] if head != step.commit.frozen else []


async def _missing(step: AnyStep, ports: Ports) -> list[Reason]:
    """What `step.needs` and is not there: credentials, built files, files at the commit that ships (L40)."""
    needs = step.needs(ports)
    found = [
        Reason(f"{name} is not set", f"needed to {step.title}", f"export {name}=… where stationmaster runs")
        for name in needs.credentials
        if not ports.credentials.has(name)
    ]
    found += [
        Reason(f"{tool} is not installed", f"needed to {step.title}", f"install {tool} where stationmaster runs")
        for tool in needs.tools
        if not ports.processes.finds(tool)
    ]
    found += [
        Reason(f"the built file {artefact.filename} is missing here", f"needed to {step.title}", "release prepare")
        for artefact in ports.shelf.missing(needs.artefacts)
    ]
    if step.source and needs.files:
        repository, commit = step.source
        for path in needs.files:
            try:
                reason = await or_trouble(step.title, unrunnable(ports.repositories, repository, commit, path))
                found += [reason] if reason else []
            except Trouble as trouble:
                found += trouble.reasons
    return found
