"""A team on disk, for the engine and the script alike: git origins, a registry in a folder, and four stand-in tools.

The tools are real child processes with the same argv on both sides; each takes as long as the team was told.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from core.registry import App, Package, Registry, Target

PACKAGES = {"money": "1.1.0", "ledger": "2.0.0", "fees": "3.2.1"}
HUB = "hub"
_SHIP = Path(__file__).parent / "ship.sh"
_TOOLS = {
    "publish": 'cp "$1" {world}/registry/',
    "lock": 'for pin; do [ -f "{world}/registry/${{pin%%==*}}-${{pin#*==}}.pkg" ] || exit 1; done; '
    "grep == needs.txt | sort >needs.lock",
    "gate": "grep -q == needs.lock",
    "deploy": 'echo "$2" >"{world}/running/$1"',
}
_GIT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "ada@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    **{f"GIT_{who}_DATE": "1760000000 +0000" for who in ("AUTHOR", "COMMITTER")},
}


class Team:
    """Everything below `folder`, laid out when made; the same input gives the same commits."""

    def __init__(self, folder: Path, *, satellites: int, tool_seconds: int) -> None:
        self.folder = folder
        self.apps = (HUB, *(f"app{number}" for number in range(1, satellites + 1)))
        for name in ("origins", "registry", "running", "bin"):
            (folder / name).mkdir(parents=True)
        for name, act in _TOOLS.items():
            tool = folder / "bin" / name
            wait = f"sleep {tool_seconds}\n" if tool_seconds else ""
            tool.write_text(f"#!/bin/sh\nset -e\n{wait}{act.format(world=folder)}\n")
            tool.chmod(0o755)
        for name in (*PACKAGES, *self.apps):
            self._lay_out(name)

    def registry(self) -> Registry:
        """The team as Stationmaster knows it."""
        packages = [
            Package(name=name, url=self._origin(name), ecosystem="toy", version_file="VERSION") for name in PACKAGES
        ]
        target = Target(strategy="command")
        apps = [
            App(name=name, url=self._origin(name), hub=name == HUB, test_cmd=("gate",), prod_deploy=target)
            for name in self.apps
        ]
        return Registry({p.name: p for p in packages}, {a.name: a for a in apps})

    def ref(self, name: str, ref: str) -> str:
        """What origin's `ref` is now."""
        return git(Path(self._origin(name)), "rev-parse", ref)

    def prepare_script(self) -> tuple[str, ...]:
        """The script's own mirrors and plan, as a freeze would leave them; returns its argv."""
        for folder in ("mirrors", "trees", "dist"):
            (self.folder / folder).mkdir()
        for name in (*PACKAGES, *self.apps):
            bare = ("--bare", self._origin(name), str(self.folder / "mirrors" / f"{name}.git"))
            git(self.folder, "clone", "--quiet", *bare)
        files = {name: f"{name}-{version}.pkg" for name, version in PACKAGES.items()}
        for name, file in files.items():
            (self.folder / "dist" / file).write_text(name)
        frozen = {name: self.ref(name, "release") for name in (*PACKAGES, *self.apps)}
        tables = {"FROZEN": frozen, "VERSION": PACKAGES, "FILE": files}
        lines = [f"PACKAGES=({' '.join(PACKAGES)})", f"APPS=({' '.join(self.apps)})"]
        lines += [
            f"declare -A {name}=({' '.join(f'[{key}]={value}' for key, value in rows.items())})"
            for name, rows in tables.items()
        ]
        (self.folder / "plan.sh").write_text("\n".join(lines) + "\n")
        return (str(_SHIP), str(self.folder))

    def outcome(self) -> dict[str, str]:
        """What the world is in the end, the same for whoever shipped it."""
        trees = {name: self.ref(name, "main^{tree}") for name in (*PACKAGES, *self.apps)}
        tags = {f"{name} tag": self.ref(name, f"v{version}^{{commit}}") for name, version in PACKAGES.items()}
        runs = {
            f"{path.name} runs its main": str(path.read_text().strip() == self.ref(path.name, "main"))
            for path in (self.folder / "running").iterdir()
        }
        return {
            **trees,
            **tags,
            **runs,
            "registry": str(sorted(path.name for path in (self.folder / "registry").iterdir())),
        }

    def _lay_out(self, name: str) -> None:
        work = self.folder / "work"
        git(self.folder, "init", "--quiet", "--initial-branch=main", str(work))
        self._commit(work, {"readme": f"{name}\n"})
        git(work, "checkout", "--quiet", "-b", "release")
        if name in PACKAGES:
            needs = "" if name == "money" else "money==1.1.0\n"
            self._commit(work, {"VERSION": f"{PACKAGES[name]}\n", "code.py": name, "needs.txt": needs})
        else:
            pins = "".join(f"{package}@release\n" for package in PACKAGES)
            self._commit(work, {"needs.txt": pins, "needs.lock": "", "web.py": name})
        git(self.folder, "clone", "--quiet", "--bare", str(work), self._origin(name))
        shutil.rmtree(work)

    def _commit(self, work: Path, files: dict[str, str]) -> None:
        for name, text in files.items():
            (work / name).write_text(text)
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "--message", "work")

    def _origin(self, name: str) -> str:
        return str(self.folder / "origins" / f"{name}.git")


def git(cwd: Path, *args: str) -> str:
    """What git printed; nobody's configuration, and always the same clock."""
    done = subprocess.run(("git", *args), cwd=cwd, env=_GIT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
