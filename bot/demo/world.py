"""The demo's world on loopback: Discord, git origins, a package index, a platform, and a train to be worked on.

Everything lies in one folder; entering it again after a kill finds it as it was left.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import msgspec

from bot.demo import origins
from bot.demo.discord import LoopbackDiscord
from bot.demo.package_index import PackageIndex
from bot.demo.platform import Platform
from bot.demo.transcript import Transcript
from core.ports import Waits

PACKAGES = ("coin-core", "coin-ledger")
APPS = ("treasury", "wallet", "kiosk")
HUB = "treasury"
BREAKABLE = {
    "cooldown": origins.CONSUMERS,
    "taken-back": ("kiosk-hours",),
    "gate": ("coin-core", "treasury"),
    "publish": PACKAGES,
    "tag": PACKAGES,
    "repin": ("treasury", "wallet"),
    "advance": (*PACKAGES, *APPS),
    "deploy": APPS,
    "release": origins.CONSUMERS,
    "post-deploy": ("gold-seats",),
    "seal": APPS,
}
"""What `--break` can make go wrong, in the order of a train: kind → names."""
ON_QA = {"treasury": "treasury-qa", "wallet": "wallet-qa"}
PAGE = Path(__file__).parent / "page"
_SECRETS = {"DISCORD_TOKEN": "", "UV_PUBLISH_TOKEN": "demo-upload-token", "HEROKU_API_KEY": "demo-platform-key"}
_WAITS = {"install_poll_seconds": 0.1, "backoff_seconds": 0.2, "install_seconds": 20, "seal_seconds": 2}


class Ports(msgspec.Struct):
    """Addresses that stay the same when the world is entered again: locks and pages name them."""

    discord: int = 0
    index: int = 0


class DemoWorld:
    """Enter it to start the servers. `environ` is what a stationmaster in this world is started with."""

    def __init__(self, folder: Path, transcript: Transcript, *, broken: str | None = None) -> None:
        self.folder, self._transcript = folder.resolve(), transcript
        ports = _ports(self.folder)
        record = transcript.record
        self.discord = LoopbackDiscord(
            state_dir=self.folder / "discord", record=record, page_dir=PAGE, port=ports.discord
        )
        self.index = PackageIndex(
            self.folder / "index",
            record=record,
            expected=PACKAGES,
            port=ports.index,
            token=_SECRETS["UV_PUBLISH_TOKEN"],
            is_full=self._is_full,
        )
        self.platform = Platform(
            self.folder / "platform",
            (*ON_QA.values(), *APPS),
            record=record,
            may_release=self._why_not,
            api_key=_SECRETS["HEROKU_API_KEY"],
        )
        self.origins = origins.Origins(self.folder, self.index, broken)
        self.broken = broken
        self._is_laid_out = False

    @property
    def environ(self) -> dict[str, str]:
        """Variables of a process that lives in this world."""
        path = os.pathsep.join([str(self.platform.bin), os.environ.get("PATH", os.defpath)])
        return {
            "PATH": path,
            "STATIONMASTER_CONFIG": str(self.folder / "config"),
            "STATIONMASTER_STATE": str(self.folder / "state"),
            **_SECRETS,
            "DISCORD_TOKEN": self.discord.token,
        }

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for server in (self.discord, self.index, self.platform):
                await stack.enter_async_context(server)
            await self._furnish()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def _furnish(self) -> None:
        """Everything that stands in the servers, and what a stationmaster must know to find them."""
        if not (ports := self.folder / "ports.json").exists():
            ports.write_bytes(msgspec.json.encode(Ports(self.discord.port, self.index.port)))
        for app in self.platform.apps.values():
            app.knobs.env |= {"UV_DEFAULT_INDEX": self.index.simple_url, "UV_CACHE_DIR": str(self.folder / "uv")}
            app.knobs.env |= {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
        if not (self.folder / "laid-out").exists():
            await self._lay_out()
            (self.folder / "laid-out").touch()
        self._is_laid_out = True
        self._write_config()

    def break_step(self) -> None:
        """Leave a mark that the place of the step to break finds once; an index stays full for all tries."""
        if self.broken:
            (self.folder / "broken").mkdir(exist_ok=True)
            (self.folder / "broken" / self.broken).write_text("x" * Waits().publish_tries)

    @property
    def complaints(self) -> list[str]:
        """What should never happen here: requests that Discord refuses or slows, packages before what they need."""
        slowed = [f"Discord slowed the bot down: {hit}" for hit in self.discord.rate_limit_hits]
        return [*self.discord.violations, *slowed, *self.index.violations]

    def _is_full(self, name: str) -> bool:
        mark = self.folder / "broken" / f"publish:{name}"
        left = mark.read_text() if mark.exists() else ""
        if left:
            mark.write_text(left[1:])
        return bool(left)

    async def _lay_out(self) -> None:
        """Yesterday's production: version 1.0.0 published and deployed; today's work on the branches of its tasks."""
        await self.origins.create()
        await self.origins.publish_main()
        await self.origins.lay_apps()
        pushes = (self.origins.deploy_main(name, self.platform.apps[name].remote) for name in APPS)
        await asyncio.gather(*pushes)

    def _why_not(self, app: str, commit: str) -> str | None:
        """A satellite may be older than its hub, never newer (spec 1)."""
        name, branch = (ON_QA[HUB], "release") if app in ON_QA.values() else (HUB, "main")
        hub = self.platform.apps[name].current
        if not self._is_laid_out or app == name:
            return None
        if hub is None or hub.commit != self.origins.head(HUB, branch):
            return f"{app} would be newer than {name}"
        return None

    def _write_config(self) -> None:
        folder = self.folder / "config"
        folder.mkdir(exist_ok=True)
        for name, content in self._config().items():
            (folder / f"{name}.yml").write_text(json.dumps(content, indent=2, ensure_ascii=False))  # every JSON is YAML

    def _config(self) -> Mapping[str, object]:
        url = {name: app.url for name, app in self.platform.apps.items()}
        remote = {name: app.remote for name, app in self.platform.apps.items()}
        heroku: Callable[[str], object] = lambda app: {  # noqa: E731
            "strategy": "git_push_heroku",
            "smoke_url": url[app],
            "revision_path": "/up",
            "options": {"app": app, "remote": remote[app], "boot_seconds": 20},
        }
        script = {"script": "bin/deploy", "env": {"KIOSK_REMOTE": remote["kiosk"], "KIOSK_URL": url["kiosk"]}}
        package = {"ecosystem": "pypi", "version_file": "pyproject.toml"}
        packages = {name: {**package, "url": self.origins.path(name)} for name in PACKAGES}
        packages["coin-core"]["release_check"] = "bin/check"
        apps: dict[str, dict[str, object]] = {
            "wallet": {"emoji": "👛", "prod_deploy": heroku("wallet")},
            "treasury": {"emoji": "🏦", "hub": True, "test_cmd": "bin/test", "prod_deploy": heroku("treasury")},
            "kiosk": {
                "emoji": "🎟️",
                "prod_deploy": {
                    "strategy": "repo_script",
                    "smoke_url": url["kiosk"],
                    "revision_path": "/up",
                    "options": script,
                },
            },
        }
        for name, app in apps.items():
            app["url"] = self.origins.path(name)
        for name, qa in ON_QA.items():
            apps[name]["qa_deploy"] = heroku(qa)
        apps[HUB]["qa_test_cmd"] = "bin/test"
        pages = [{"path": "/", "contains": "<h1>"}, {"path": "/sign-in"}]
        ids = self.discord.role_ids
        return {
            "release_repos": {
                "packages": packages,
                "apps": apps,
                "ecosystems": {"pypi": {"publish_url": self.index.publish_url, "index_url": self.index.simple_url}},
            },
            "bot": {
                "discord": {
                    "guild_id": self.discord.guild_id,
                    "channel_id": self.discord.channel_id,
                    "role_ids": {role: ids[role] for role in ("operator", "agent", "reviewer")},
                    "discord_api": self.discord.base_url,
                },
                "train": {"waits": _WAITS},
            },
            "devops_test_suites": {"suites": {app: {"pages": pages, "removed": ["/devops"]} for app in APPS}},
            "feature_shapes": {"shapes": {"ui": ["unit", "e2e"], "library": ["unit"], "script": ["integration"]}},
        }


def _ports(folder: Path) -> Ports:
    """The addresses that this world had before; a new one takes what is free."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ports.json"
    return msgspec.json.decode(path.read_bytes(), type=Ports) if path.exists() else Ports()
