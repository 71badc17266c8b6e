"""The demo's git origins: what production runs on main, and today's work on the branches of its tasks."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

from bot.demo.package_index import PackageIndex

PROJECTS = Path(__file__).parent / "projects"
PACKAGES = ("coin-core", "coin-ledger")
CONSUMERS = ("treasury", "wallet")
TEMPLATES = {**dict.fromkeys(CONSUMERS, "consumer"), **{name: name for name in (*PACKAGES, "kiosk")}}
OLD, NEW = "1.0.0", "1.1.0"
COIN_FEES = "feat/coin-fees"
# What each branch makes of @VERSION@ in its project; two of them want the same line of the kiosk.
WORK = {
    **{name: {COIN_FEES: NEW} for name in PACKAGES},
    **{name: {"feat/gold-seats": NEW} for name in CONSUMERS},
    "kiosk": {"feat/kiosk-hours": "open 9 to 17", "feat/kiosk-prices": "a ticket costs 3 coins"},
}

# Every push passes here; a mark in `broken` makes one fail, once.
_HOOK = """#!/bin/sh
while read -r old new ref; do
  case "$ref" in
    refs/heads/main) mark=advance:{name};;
    refs/heads/release) mark=repin:{name};;
    refs/tags/*) mark=tag:{name};;
  esac
  if rm "{broken}/$mark" 2>/dev/null; then echo "the disk of origin is full" >&2; exit 1; fi
done
"""


class Origins:
    """Bare repositories below `folder`, laid out once."""

    def __init__(self, folder: Path, index: PackageIndex, broken: str | None = None) -> None:
        self._folder, self._index, self._broken = folder, index, broken or ""
        uv = {"UV_CACHE_DIR": str(folder / "uv"), "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
        who = {
            f"GIT_{kind}_{field}": "ada@localhost" for kind in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")
        }
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        self._env = {"PATH": path, "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **uv, **who}

    def path(self, name: str) -> str:
        """The address of an origin."""
        return str(self._folder / "origins" / f"{name}.git")

    def head(self, name: str, branch: str) -> str:
        """The commit of a branch, as origin has it now."""
        return (Path(self.path(name)) / "refs" / "heads" / branch).read_text().strip()

    async def create(self) -> None:
        """Everything that needs no lock, side by side."""
        await asyncio.gather(*(self._create(name) for name in TEMPLATES))

    async def publish_main(self) -> None:
        """Version 1.0.0 of the packages, in their order."""
        for name in PACKAGES:
            work, publish = self._work(name), ("--publish-url", self._index.publish_url, "--token", self._index.token)
            await self._run(work, "git", "checkout", "--quiet", "main")
            await self._run(work, "uv", "build", "--quiet", "--out-dir", str(work / ".git" / "dist"))
            files = (str(file) for file in sorted((work / ".git" / "dist").glob("*-*")))
            await self._run(work, "uv", "publish", "--quiet", *publish, *files)

    async def lay_apps(self) -> None:
        """Main pinned to what is published, the work on top taking both packages from the branches of theirs."""
        await asyncio.gather(*(self._lay(name) for name in CONSUMERS))

    async def deploy_main(self, name: str, remote: str) -> None:
        """What production ran before today's train."""
        await self._run(Path(self.path(name)), "git", "push", "--quiet", remote, "main:main")

    async def _create(self, name: str) -> None:
        bare, work = Path(self.path(name)), self._work(name)
        await self._run(self._folder, "git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        await self._run(self._folder, "git", "clone", "--quiet", str(bare), str(work))
        await self._run(work, "git", "symbolic-ref", "HEAD", "refs/heads/main")
        if name not in CONSUMERS:
            await self._lay(name)

    async def _lay(self, name: str) -> None:
        """Main, and every branch on top of it."""
        work = self._work(name)
        await self._commit(name, "main", OLD)
        for branch, version in WORK[name].items():
            await self._run(work, "git", "checkout", "--quiet", "-b", branch, "main")
            await self._commit(name, branch, version)
        hook = Path(self.path(name)) / "hooks" / "pre-receive"
        hook.write_text(_HOOK.format(name=name, broken=self._folder / "broken"))
        hook.chmod(0o755)

    async def _commit(self, name: str, branch: str, version: str) -> None:
        work, template = self._work(name), PROJECTS / TEMPLATES[name]
        shutil.copytree(template, work, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        for path in work.rglob("*"):
            if path.is_file() and (template / path.relative_to(work)).exists():
                text = (template / path.relative_to(work)).read_text()
                path.write_text(self._filled(text, name, branch, version))
        if name in CONSUMERS:
            await self._run(work, "uv", "lock", "--quiet", "--default-index", self._index.simple_url)
        await self._run(work, "git", "add", "--all")
        await self._run(work, "git", "commit", "--quiet", "--message", f"{name} {version}")
        await self._run(work, "git", "push", "--quiet", "origin", branch)

    def _filled(self, text: str, name: str, branch: str, version: str) -> str:
        """The project's text on `branch`: consumers pin on main, and take branches elsewhere."""
        pinned = "".join(f'\n  "{package}=={OLD}",' for package in PACKAGES)
        sources = "\n".join(f'{n} = {{ git = "file://{self.path(n)}", branch = "{COIN_FEES}" }}' for n in PACKAGES)
        is_main = branch == "main"
        values = {
            "NAME": name,
            "VERSION": version,
            "BROKEN": str(self._folder / "broken"),
            "DEPENDENCIES": pinned if is_main else "".join(f'\n  "{package}",' for package in PACKAGES),
            "SOURCES": "" if is_main else f"{self._policy(name)}\n[tool.uv.sources]\n{sources}",
        }
        for word, value in values.items():
            text = text.replace(f"@{word}@", value)
        return text

    def _policy(self, name: str) -> str:
        return '\n[tool.uv]\nexclude-newer = "1 day"\n' if self._broken == f"cooldown:{name}" else ""

    async def exempt(self, name: str, line: str) -> None:
        """A builder adds `line` to the policy of `name`, on the branch of the task."""
        work, [branch] = self._work(name), WORK[name]
        await self._run(work, "git", "checkout", "--quiet", branch)
        manifest = work / "pyproject.toml"
        manifest.write_text(manifest.read_text().replace("[tool.uv]\n", f"[tool.uv]\n{line}\n"))
        await self._run(work, "git", "commit", "--quiet", "--all", "--message", "Exempt our own packages")
        await self._run(work, "git", "push", "--quiet", "origin", branch)

    async def take_back(self, name: str, task: str) -> None:
        """Somebody takes the merge of `task` off the release branch, and words it their own way."""
        work = self._work(name)
        await self._run(work, "git", "fetch", "--quiet", "origin")
        await self._run(work, "git", "checkout", "--quiet", "-B", "release", "origin/release")
        found = f":/Merge task {task} "
        await self._run(work, "git", "revert", "--no-commit", "-m", "1", found)
        await self._run(work, "git", "commit", "--quiet", "--message", "Quieten the clock")
        await self._run(work, "git", "push", "--quiet", "origin", "release")

    def _work(self, name: str) -> Path:
        return self._folder / "checkouts" / name

    async def _run(self, cwd: Path, *argv: str) -> None:
        child = await asyncio.create_subprocess_exec(
            *argv, cwd=cwd, env=self._env, stderr=asyncio.subprocess.PIPE, start_new_session=True
        )
        _, stderr = await child.communicate()
        if child.returncode:
            raise RuntimeError(f"the demo's world could not be laid out: {' '.join(argv)}: {stderr.decode()}")
