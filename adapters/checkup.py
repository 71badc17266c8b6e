"""Is everything there that the configuration speaks of (spec 10.3, L46)? Only looks; what is wrong comes all at once.

Whether the files themselves are right, `config.load` has said before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from adapters.config import Settings
from adapters.web import Web
from core.errors import Trouble, Unreachable
from core.ports import Ecosystem, Needs, Processes, Strategy
from core.registry import App, Argv, Package, own_file
from core.repositories import Repositories
from core.words import short

PROBE_SECONDS = 60.0
AT_ONCE = 8
_INSTALL = {
    "git": "apt-get install git (or brew install git)",
    "heroku": "npm install -g heroku (or brew install heroku/brew/heroku)",
    "gem": "apt-get install ruby-full (or brew install ruby)",
    "bundle": "gem install bundler",
}


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; when it is not `ok`, `next` is what to do."""

    ok: bool
    what: str
    detail: str = ""
    next: str = ""


Probe = Callable[[], Awaitable[Sequence[Finding]]]


async def check_environment(
    settings: Settings,
    processes: Processes,
    web: Web,
    repositories: Repositories,
    *,
    ecosystems: Mapping[str, Ecosystem],
    strategies: Mapping[str, Strategy],
    extra: Mapping[str, Probe],
    probe_seconds: float = PROBE_SECONDS,
) -> list[Finding]:
    """Credentials, tools, repositories and what they declare, sites; then `extra` (database, Discord) by its names.

    Looks side by side, each look bounded by `probe_seconds`; a look that raises Trouble is a finding like any other.
    """
    registry = settings.registry
    used = {package.ecosystem: ecosystems[package.ecosystem] for package in registry.packages.values()}
    needs = [
        *((one.name, _needs_of_package(used[one.ecosystem])) for one in registry.packages.values()),
        *((_deployed(app), _needs(app, strategies)) for app in registry.apps.values()),
    ]
    tools = _users((name, one.tools) for name, one in needs)
    look = partial(_repository, repositories)
    probes: list[tuple[str, Probe]] = [
        *((tool, partial(_tool, processes, tool, who)) for tool, who in sorted(tools.items())),
        *((one.name, partial(_program, processes, one)) for one in registry.repositories.values()),
        *((one.name, partial(look, one, (), used[one.ecosystem])) for one in registry.packages.values()),
        *((one.name, partial(look, one, _needs(one, strategies).files)) for one in registry.apps.values()),
        *((url, partial(_site, web, url, next_)) for app in registry.apps.values() for url, next_ in _sites(app)),
        *extra.items(),
    ]
    slots = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(_bounded(name, probe, slots, probe_seconds), name=name) for name, probe in probes]
    missing = list(_credentials(settings, needs))
    told = {one.what for one in missing}  # Discord misses its token too: once is enough
    return [*missing, *(finding for task in looks for finding in task.result() if finding.what not in told)]


async def _bounded(name: str, probe: Probe, slots: asyncio.Semaphore, seconds: float) -> Sequence[Finding]:
    async with slots:
        try:
            async with asyncio.timeout(seconds):
                return await probe()
        except TimeoutError:
            return [Finding(False, f"{name} does not answer", f"not within {seconds:g} s", "try again in a minute")]
        except Trouble as trouble:
            return _findings(trouble)


def _findings(trouble: Trouble) -> list[Finding]:
    return [Finding(False, one.what, one.why, one.next) for one in trouble.reasons]


def _needs_of_package(ecosystem: Ecosystem) -> Needs:
    return Needs(credentials=ecosystem.credentials, tools=("git", *ecosystem.tools))


def _deployed(app: App) -> str:
    how = dict.fromkeys(target.strategy for target in (app.qa_deploy, app.prod_deploy) if target)
    return f"{app.name} ({', '.join(how)})" if how else app.name


def _needs(app: App, strategies: Mapping[str, Strategy]) -> Needs:
    targets = [target for target in (app.qa_deploy, app.prod_deploy) if target]
    needs = [strategies[target.strategy].needs(app, target) for target in targets]
    return Needs(
        files=tuple({path: None for one in needs for path in one.files}),
        credentials=tuple({name: None for one in needs for name in one.credentials}),
        tools=("git", *(tool for one in needs for tool in one.tools)),
    )


def _credentials(settings: Settings, needs: Iterable[tuple[str, Needs]]) -> Iterable[Finding]:
    bot = ("the bot", (settings.bot.discord.token_env,))
    for name, users in _users([bot, *((needed_by, one.credentials) for needed_by, one in needs)]).items():
        is_set = settings.secrets.has(name)
        next_ = "" if is_set else f"export {name}=… where stationmaster runs"
        yield Finding(is_set, f"{name} is {'set' if is_set else 'not set'}", f"needed by {', '.join(users)}", next_)


def _users(needed: Iterable[tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Who needs each, by what is needed."""
    users: dict[str, list[str]] = {}
    for who, names in needed:
        for name in dict.fromkeys(names):
            users.setdefault(name, []).append(who)
    return users


async def _tool(processes: Processes, tool: str, users: Sequence[str]) -> list[Finding]:
    if not processes.finds(tool):
        next_ = f"{_INSTALL.get(tool, f'install {tool}')}, where stationmaster runs and on its PATH"
        return [Finding(False, f"{tool} is not installed", f"needed by {', '.join(users)}", next_)]
    ended = await processes.run((tool, "--version"), timeout_seconds=PROBE_SECONDS)
    said = (ended.stdout or ended.stderr).strip().partition("\n")[0]
    if ended.exit_code in (126, 127):  # it is there, but what it is written in is not; others may not know --version
        return [Finding(False, f"{tool} does not run", said, f"{_INSTALL.get(tool, f'install {tool}')} again")]
    return [Finding(True, tool, said)]


async def _program(processes: Processes, one: Package | App) -> list[Finding]:
    return [
        Finding(False, f"{command[0]} cannot be run", f"{key} of {one.name} names it", f"install it, or correct {key}")
        for key, command in _commands(one)
        if not own_file(command) and not processes.finds(command[0])
    ]


async def _repository(
    repositories: Repositories, one: Package | App, files: Sequence[str], ecosystem: Ecosystem | None = None
) -> list[Finding]:
    """Whether origin's main is there, and on it everything that the registry, or a deploy (`files`), names."""
    paths = {f"the deploy ({path})": path for path in files}
    if isinstance(one, Package) and one.version_file:
        paths["version_file"] = one.version_file
    paths |= {key: file for key, command in _commands(one) if (file := own_file(command))}
    head = await repositories.branch_head(one, one.main_branch)
    if head is None:
        next_ = "push it, or correct main_branch in release_repos.yml"
        return [Finding(False, f"{one.name} has no branch {one.main_branch}", f"at {one.url}", next_)]
    findings = [Finding(True, f"{one.name} is reachable", f"{one.main_branch} is {short(head)}")]
    for who, path in paths.items():
        text = await repositories.read(one, head, path)
        if text is None:
            what = f"{path} is not in {one.name} at {one.main_branch} ({short(head)})"
            findings.append(Finding(False, what, f"{who} names it", f"commit it, or correct {who}"))
        elif isinstance(one, Package) and ecosystem and who == "version_file":
            said = ecosystem.version(one, text)
            at = f"{one.name} is at {said}" if said else f"the version of {one.name} is what its build says"
            findings.append(Finding(True, at, f"so says {path}" if said else f"{path} declares none in plain words"))
    return findings


def _commands(one: Package | App) -> list[tuple[str, Argv]]:
    own = ("release_check", one.release_check) if isinstance(one, Package) else ("test_cmd", one.test_cmd)
    return [(key, argv) for key, argv in (own, ("qa_test_cmd", one.qa_test_cmd)) if argv]


def _sites(app: App) -> Iterator[tuple[str, str]]:
    """What must answer, and what to do where it does not."""
    if app.qa_deploy and app.qa_deploy.smoke_url:
        yield app.qa_deploy.smoke_url, "the first prepare brings it there; later, mend the app, or correct its address"
    if app.base_url:
        yield app.base_url, "a ship demands 200: mend the app, or correct its address"


async def _site(web: Web, url: str, next_: str) -> list[Finding]:
    try:
        status = (await web.get(f"{url}/up")).status
    except Unreachable as silence:
        return [msgspec.structs.replace(one, next=next_) for one in _findings(silence)]
    return [Finding(status == 200, f"{url}/up answers {status}", next=next_ if status != 200 else "")]
