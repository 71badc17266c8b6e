"""What may stand in the four configuration files (spec 11): one strict model per entry, one type per kind of text.

Defaults are not repeated here: what a file does not say is None and left to the value that the entry becomes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from adapters.deploys import STRATEGIES
from adapters.ecosystems import ECOSYSTEMS
from core.commands import explained, split_words
from core.errors import Refused
from core.reviews import Seat
from core.words import checked_branch, checked_slug, is_loopback

TIERS = ("unit", "component", "integration", "e2e")
Item = TypeVar("Item")


def wrong(what: str, **context: object) -> PydanticCustomError:
    """A complaint in our words; it never repeats the value."""
    return PydanticCustomError("wrong", "{what}", {"what": what, **context})


def _matching(pattern: str, what: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise wrong(what)
        return text

    return AfterValidator(check)


def _one_of(known: Collection[str]) -> AfterValidator:
    def check(text: str) -> str:
        if text not in known:
            raise wrong("is not known", known=list(known))
        return text

    return AfterValidator(check)


def _through(function: Callable[[str], object]) -> AfterValidator:
    """Refusals of the core, as complaints about a value."""

    def check(text: str) -> str:
        try:
            function(text)
        except Refused as refusal:
            raise wrong(str(refusal.reasons[0])) from None
        return text

    return AfterValidator(check)


def _split(command: object) -> object:
    """A command as argv: a list of words, or text split like a shell would (L02)."""
    if isinstance(command, list):
        return tuple(command)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if not isinstance(command, str):
        raise wrong("must be a command: text, or a list of words")
    try:
        return split_words(command)
    except Refused as refusal:
        raise wrong(explained(refusal)) from None


def _http(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise wrong("is no address") from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"\s", url):
        raise wrong("must be an address: https://…")
    if parts.username is not None:
        raise wrong("holds a name or password: secrets come from the environment only")
    return url


def _loopback(url: str) -> str:
    if not is_loopback(urlsplit(url).hostname or ""):
        raise wrong("must be a loopback address: the bot's token would travel there")
    return url


def _remote(url: str) -> str:
    if not url.strip() or url.startswith("-"):
        raise wrong("is no repository: it is blank or looks like an option")
    if re.match(r"https?://[^/]*@", url):
        raise wrong("holds a name or password: secrets come from the environment only")
    return url


def _filled(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if not items:
        raise wrong("must not be empty")
    return items


Many = Annotated[tuple[Item, ...], Field(strict=False)]  # YAML has lists; a value keeps tuples
Text = Annotated[str, Field(min_length=1)]
Slug = Annotated[str, _through(checked_slug)]
Http = Annotated[str, AfterValidator(_http)]  # to the letter: an upload address may need its last slash
Site = Annotated[Http, AfterValidator(lambda url: url.rstrip("/"))]
Loopback = Annotated[Site, AfterValidator(_loopback)]
Remote = Annotated[str, AfterValidator(_remote)]
Branch = Annotated[str, _through(checked_branch)]
Inside = Annotated[str, _matching(r"(?![-/])(?!(.*/)?\.\.(/|$))\S[^\n]*", "must be a path below the repository's root")]
WebPath = Annotated[str, _matching(r"/(?!/)\S*", "must be a path that begins with one /")]
Tag = Annotated[str, _matching(r"(?!-)[^\s{}~^:?*\[\\]*\{version\}[^\s{}~^:?*\[\\]*", "must hold {version} once")]
Variable = Annotated[str, _matching(r"[A-Z][A-Z0-9_]*", "must be the name of an environment variable, not its value")]
Command = Annotated[tuple[Text, ...], AfterValidator(_filled), BeforeValidator(_split)]
GitHost = Annotated[str, _matching(r"[A-Za-z0-9.-]+(:[0-9]+)?(/[\w./-]+)?", "must be a host, or a host and a path")]
Snowflake = Annotated[int, Field(gt=0, lt=2**63)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100)]
Host = Annotated[str, _matching(r"[A-Za-z0-9.:-]+", "must be the name or address of an interface of this machine")]
SeatName = Annotated[Seat, Field(strict=False)]


class Entry(BaseModel):
    """Strict: unknown keys and bent types are errors; frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    def given(self, *without: str) -> dict[str, Any]:
        """What the file says, by key, except `without`."""
        said = {name: getattr(self, name) for name in type(self).model_fields if name not in without}
        return {name: value for name, value in said.items() if value is not None}


class PackageEntry(Entry):
    """One of `packages` in release_repos.yml."""

    ecosystem: Annotated[str, _one_of(ECOSYSTEMS)]
    url: Remote
    version_file: Inside | None = None
    release_check: Command | None = None
    qa_test_cmd: Command | None = None
    tag: Tag | None = None
    published_as: Annotated[str, _matching(r"[A-Za-z0-9@][\w./-]*", "is no package name")] | None = None
    release_branch: Branch | None = None
    main_branch: Branch | None = None


class AppEntry(Entry):
    """One of `apps` in release_repos.yml; the two targets are checked by themselves, as `TargetEntry`."""

    url: Remote
    hub: bool | None = None
    emoji: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    test_cmd: Command | None = None
    qa_test_cmd: Command | None = None
    qa_deploy: object = None
    prod_deploy: object = None
    production_url: Site | None = None
    release_branch: Branch | None = None
    main_branch: Branch | None = None


class TargetEntry(Entry):
    """`qa_deploy` or `prod_deploy` of an app; `options` are checked by the strategy's own model."""

    strategy: Annotated[str, _one_of(STRATEGIES)]
    smoke_url: Site | None = None
    revision_path: WebPath | None = None
    options: object = None


class PyPIEntry(Entry):
    """`ecosystems.pypi`: where Python packages go and come from; see `PyPISettings`."""

    publish_url: Http | None = None
    index_url: Http | None = None


class RubyGemsEntry(Entry):
    """`ecosystems.rubygems`: where gems go and come from; see `RubyGemsSettings`."""

    host: Http | None = None
    index_url: Http | None = None
    mirror: bool | None = None


class EcosystemsEntry(Entry):
    """`ecosystems` in release_repos.yml: registries other than the public ones."""

    pypi: PyPIEntry = PyPIEntry()
    rubygems: RubyGemsEntry = RubyGemsEntry()


class GitEntry(Entry):
    """One of `git` in release_repos.yml: how git is known to a host; `token_env` names the variable with the token."""

    token_env: Variable


class ReposFile(Entry):
    """release_repos.yml; packages and apps are checked one by one, so that one broken entry hides no other."""

    packages: dict[Slug, object] = {}
    apps: dict[Slug, object] = {}
    ecosystems: EcosystemsEntry = EcosystemsEntry()
    git: dict[GitHost, GitEntry] = {}


class Page(Entry):
    """A page that must render: 200, and `contains` somewhere in its text."""

    path: WebPath
    contains: Text | None = None


class Suite(Entry):
    """What a production site must show beside `/up`; `removed` are routes that must be 404."""

    pages: Many[Page] = ()
    removed: Many[WebPath] = ()


class SuitesFile(Entry):
    """devops_test_suites.yml."""

    suites: dict[str, Suite]


class ShapesFile(Entry):
    """feature_shapes.yml: shape → the tiers of test that it owes (spec 2.6), and the seats that must approve (2.5)."""

    shapes: Annotated[dict[Slug, Many[Annotated[str, _one_of(TIERS)]]], Field(min_length=1)]
    quorum: Annotated[Many[SeatName], AfterValidator(_filled)] = tuple(Seat)


class RoleIds(Entry):
    """Discord roles; each may be given to many people."""

    operator: Snowflake
    agent: Snowflake
    reviewer: Snowflake


class DiscordEntry(Entry):
    """`discord` in bot.yml."""

    guild_id: Snowflake
    channel_id: Snowflake
    role_ids: RoleIds
    token_env: Variable = "DISCORD_TOKEN"
    discord_api: Loopback | None = None


class ApiEntry(Entry):
    """`api` in bot.yml: where the HTTP API listens."""

    host: Host = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)]


class WaitsEntry(Entry):
    """How long the train waits; see `core.ports.Waits`."""

    install_seconds: Seconds | None = None
    install_poll_seconds: Seconds | None = None
    publish_tries: Count | None = None
    lock_tries: Count | None = None
    backoff_seconds: Seconds | None = None
    gate_seconds: Seconds | None = None
    seal_seconds: Seconds | None = None


class TrainEntry(Entry):
    """`train` in bot.yml."""

    satellites_at_once: Count = 1
    waits: WaitsEntry = WaitsEntry()


class BotFile(Entry):
    """bot.yml."""

    discord: DiscordEntry
    api: ApiEntry | None = None
    train: TrainEntry = TrainEntry()
