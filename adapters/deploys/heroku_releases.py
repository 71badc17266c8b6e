"""What an app's release list says that it runs (`heroku releases --json`): the platform's word, where the app has none.

A failed release phase leaves the ref moved and the old code up, and a second push moves nothing (toolchains.md 0.10):
only the list tells. Parsing is pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from core.errors import StepFailed, Unreachable
from core.ports import Processes
from core.registry import Argv, Sha
from core.words import short

_DEPLOY = re.compile(r"Deploy ([0-9a-f]{7,40})\b")
_AGAIN = re.compile(r"(?:Rollback to|Retry of) v(\d+)\b")
_LOOK_SECONDS = 60
_HOW_MANY = 50


class Release(msgspec.Struct, frozen=True):
    """One row of the list, which is newest first."""

    version: int
    status: str = "succeeded"
    description: str = ""
    current: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """How a commit stands on the platform. `unknown`: its list does not tell which commit runs."""

    state: Literal["runs", "failed", "pending", "another runs", "unknown"]
    words: str


def releases_argv(app: str) -> Argv:
    """What asks for the list. Pure."""
    return ("heroku", "releases", "--json", "-n", str(_HOW_MANY), f"--app={app}")


async def look(processes: Processes, app: str, commit: Sha, env: Mapping[str, str], names: Sequence[str]) -> Verdict:
    """Ask the platform about `commit`; Unreachable when it gives no list."""
    try:
        done = await processes.run(releases_argv(app), env=env, credentials=names, timeout_seconds=_LOOK_SECONDS)
        why = " ".join(done.stderr.split())[-300:] if done.exit_code else ""
        if not done.exit_code:
            return verdict(msgspec.json.decode(done.stdout, type=list[Release]), commit)
    except (StepFailed, msgspec.MsgspecError) as error:
        why = str(error)
    raise Unreachable(f"the releases of {app} cannot be listed", why, f"make heroku releases --app={app} work")


def verdict(releases: Sequence[Release], commit: Sha) -> Verdict:
    """What the list says of `commit`."""
    ordered = sorted(releases, key=lambda one: one.version, reverse=True)
    if not ordered:
        return Verdict("another runs", "nothing was ever released")
    newest = ordered[0]
    if newest.status == "pending":
        return Verdict("pending", f"release v{newest.version} is pending")
    if newest.status == "failed" and _is(_code_of(newest, ordered), commit):
        return Verdict("failed", f"release v{newest.version} failed")
    current = next((one for one in ordered if one.current), None) or next(
        (one for one in ordered if one.status == "succeeded"), None
    )
    code = _code_of(current, ordered) if current else None
    if current is None or code is None:
        return Verdict("unknown", "the list of releases does not tell which commit runs")
    where = f"release v{current.version} is {short(code)}"
    return Verdict("runs" if _is(code, commit) else "another runs", where)


def _code_of(release: Release, releases: Sequence[Release]) -> str | None:
    """The commit that a release runs, as far as the list goes; a change of settings runs the code before it."""
    below = {one.version: one for one in releases if one.version < release.version}
    if found := _DEPLOY.match(release.description):
        return found[1]
    if again := _AGAIN.match(release.description):
        before = below.get(int(again[1]))
    else:
        working = [one for one in below.values() if one.status == "succeeded"]
        before = max(working, key=lambda one: one.version, default=None)
    return _code_of(before, releases) if before else None


def _is(said: str | None, commit: Sha) -> bool:
    return bool(said) and commit.startswith(said or "-")
