"""The only reader of YAML and environment (spec 11): four files and a few variables in, one frozen `Settings` out.

Everything wrong in all of it is refused at once, each problem with file, line and key. What a file may say is in
`config_files`; how it is read, in `yaml_file`; rules between repositories, in `core.registry`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import unquote

import msgspec
from packaging.utils import canonicalize_name

from adapters.config_files import (
    AppEntry,
    BotFile,
    PackageEntry,
    ReposFile,
    ShapesFile,
    Suite,
    SuitesFile,
    TargetEntry,
)
from adapters.credentials import Secrets
from adapters.deploys import STRATEGIES
from adapters.ecosystems.pypi import PyPI, PyPISettings
from adapters.ecosystems.rubygems import RubyGemsSettings
from adapters.git_tokens import GitTokens
from adapters.yaml_file import YamlFile
from core import collisions
from core.errors import Reason, Refused
from core.ports import Waits
from core.registry import App, Package, Registry, Target, unknown
from core.reviews import Seat

# A variable with such a name holds a credential; tools that we run know many that no file names.
_CREDENTIAL_ENDINGS = ("TOKEN", "KEY", "SECRET", "PASSWORD", "CREDENTIALS")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that the configuration says.

    `tiers`: shape → tiers of test that it owes. `quorum`: the seats that must approve.
    `suites`: app → what its production site must show.
    """

    registry: Registry
    tiers: Mapping[str, tuple[str, ...]]
    quorum: tuple[Seat, ...]
    suites: Mapping[str, Suite]
    bot: BotFile
    pypi: PyPISettings
    rubygems: RubyGemsSettings
    waits: Waits
    satellites_at_once: int
    state_dir: Path
    projects_dir: Path | None
    git_tokens: GitTokens
    database_url: str = field(repr=False)  # may hold a password
    secrets: Secrets


def config_folder(environ: Mapping[str, str]) -> Path:
    """Where the four files are: STATIONMASTER_CONFIG, else `config` below the working directory."""
    return Path(environ.get("STATIONMASTER_CONFIG") or "config")


def load(folder: Path, environ: Mapping[str, str]) -> Settings:
    """The settings that the files in `folder` and `environ` give; Refused with every problem at once."""
    problems: list[Reason] = []
    repos, suites, shapes, bot = (
        YamlFile(folder / f"{name}.yml", problems)
        for name in ("release_repos", "devops_test_suites", "feature_shapes", "bot")
    )
    state_dir = Path(environ.get("STATIONMASTER_STATE") or folder.absolute().parent / "var").absolute()
    database_url = environ.get("STATIONMASTER_DATABASE_URL") or f"sqlite:///{state_dir / 'stationmaster.db'}"
    repos_file, shapes_file, bot_file = repos.check(ReposFile), shapes.check(ShapesFile), bot.check(BotFile)
    registry = _registry(repos, environ.get("PROJECTS_DIR", ""))
    problems += (
        msgspec.structs.replace(one, what=f"{repos.path}: {one.what}") for one in collisions.problems(registry)
    )
    smoke_suites = _suites(suites, repos)
    git_tokens = {host: one.token_env for host, one in repos_file.git.items()} if repos_file else {}
    secrets = _secrets(environ, bot_file, registry, database_url, git_tokens.values())
    if problems or not (repos_file and shapes_file and bot_file):
        raise Refused.all(Reason(*map(secrets.mask, (one.what, one.why, one.next))) for one in problems)
    return Settings(
        registry=registry,
        tiers=shapes_file.shapes,
        quorum=shapes_file.quorum,
        suites=smoke_suites,
        bot=bot_file,
        pypi=PyPISettings(**repos_file.ecosystems.pypi.given()),
        rubygems=RubyGemsSettings(**repos_file.ecosystems.rubygems.given()),
        waits=Waits(**bot_file.train.waits.given()),
        satellites_at_once=bot_file.train.satellites_at_once,
        state_dir=state_dir,
        projects_dir=Path(projects).absolute() if (projects := environ.get("PROJECTS_DIR")) else None,
        git_tokens=GitTokens(git_tokens, secrets),
        database_url=database_url,
        secrets=secrets,
    )


def _registry(file: YamlFile, projects_dir: str) -> Registry:
    """Every entry that is right by itself; the others were complained about."""
    packages = [_package(file, name, projects_dir) for name in file.mapping("packages")]
    apps = [_app(file, name, projects_dir) for name in file.mapping("apps")]
    return Registry({one.name: one for one in packages if one}, {one.name: one for one in apps if one})


def _package(file: YamlFile, name: str, projects_dir: str) -> Package | None:
    entry = file.check(PackageEntry, "packages", name)
    if entry is None:
        return None
    url, given = _located(file, ("packages", name, "url"), entry.url, projects_dir), entry.given("url")
    if entry.ecosystem == PyPI.name:
        # One spelling (PEP 503): manifests, locks and pins are compared with it.
        given["published_as"] = canonicalize_name(entry.published_as or name)
    return Package(name=name, url=url, **given)


def _app(file: YamlFile, name: str, projects_dir: str) -> App | None:
    entry = file.check(AppEntry, "apps", name)
    qa_deploy, prod_deploy = (_target(file, "apps", name, key) for key in ("qa_deploy", "prod_deploy"))
    if entry is None:
        return None
    url = _located(file, ("apps", name, "url"), entry.url, projects_dir)
    plain = entry.given("url", "qa_deploy", "prod_deploy")
    return App(name=name, url=url, qa_deploy=qa_deploy, prod_deploy=prod_deploy, **plain)


def _target(file: YamlFile, *place: str) -> Target | None:
    if file.at(*place) is None:
        return None
    entry = file.check(TargetEntry, *place)
    strategy = STRATEGIES.get(str(file.mapping(*place).get("strategy")))
    options = file.check(strategy.Options, *place, "options") if strategy else None
    production_url = file.at(*place[:-1], "production_url") if place[-1] == "prod_deploy" else None
    if strategy and entry and not (entry.smoke_url or production_url):
        if strategy.needs_address:
            why = f"{strategy.name} asks there whether what it pushed serves"
            file.complain(place, "smoke_url is missing", why, "add smoke_url: https://…")
        elif entry.revision_path:
            file.complain(place, "revision_path has no smoke_url", "it is a path below it", "add smoke_url: https://…")
    if not (entry and options):
        return None
    return Target(options=options.model_dump(), place=options.place, **entry.given("options"))


def _located(file: YamlFile, place: tuple[str, ...], url: str, projects_dir: str) -> str:
    """`url`; a relative path is resolved against PROJECTS_DIR (spec 11)."""
    if "://" in url or re.match(r"[^/]+:", url):
        return url
    if Path(url).is_absolute():
        return str(Path(url).resolve())
    if not projects_dir:
        next_ = "export PROJECTS_DIR=… or write the whole address"
        file.complain(place, "is a relative path, and PROJECTS_DIR is not set", "", next_)
    return str((Path(projects_dir) / url).resolve())


def _suites(file: YamlFile, repos: YamlFile) -> dict[str, Suite]:
    entries = file.check(SuitesFile)
    apps = repos.mapping("apps")
    if repos.is_readable:
        for name in file.mapping("suites").keys() - apps.keys():
            _, _, next_ = unknown("app", name, apps)
            file.complain(("suites", name), "no such app", f"{repos.path.name} does not name it", next_)
    return entries.suites if entries else {}


def _secrets(
    environ: Mapping[str, str], bot: BotFile | None, registry: Registry, database_url: str, named_too: Iterable[str]
) -> Secrets:
    """Everything in `environ` that is a credential by its name, or because the configuration names it."""
    named = {*named_too, *([bot.discord.token_env] if bot else [])}
    for app in registry.apps.values():
        for target in filter(None, (app.qa_deploy, app.prod_deploy)):
            named |= set(_words(target.options.values()))
    values = {
        name: value for name, value in environ.items() if name in named or name.upper().endswith(_CREDENTIAL_ENDINGS)
    }
    if inside := re.search(r"://[^:/@]*:([^@]*)@", database_url):
        values |= {"database password": unquote(inside[1]), "database password, quoted": inside[1]}
    return Secrets(values)


def _words(values: Iterable[object]) -> Iterator[str]:
    """The texts in the options of a strategy: one that names a variable names a credential."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from _words(cast("tuple[object, ...]", value))
