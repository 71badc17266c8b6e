"""Does the target serve, and is it this commit? Shared by the strategies.

Old code that answers 200 is not success (L41): where a target can say what it runs, it must; where not, "not verified".
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import cast

import msgspec

from adapters.web import Answer, Web
from core.errors import NeedsOperator, Reason, Refused, StepFailed, Trouble, Unreachable
from core.observations import Already, Blind, CannotTell, Facts, NotYet, Observation
from core.ports import Clock
from core.registry import App, Sha, Target
from core.words import short

ANSWER = "look yourself, then release resume --answer happened, or --answer again to run it again"
"""What to do next when nobody can tell."""

_KEYS = ("revision", "commit", "sha")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 3


def base_url(app: App, target: Target) -> str | None:
    """Where `target` serves, without a slash at the end; for production also `production_url` (spec 8.5)."""
    url = target.smoke_url or (app.production_url if target == app.prod_deploy else None)
    return url.rstrip("/") if url else None


def required_url(app: App, target: Target) -> str:
    """As `base_url`; Refused when there is none."""
    url = base_url(app, target)
    if url is None:
        raise Refused(
            f"{app.name} cannot be probed", f"{target.strategy} has no smoke_url", "set smoke_url, then release resume"
        )
    return url


def revision_in(answer: Answer) -> str | None:
    """The commit that a 200 names: JSON key, `X-` header of that name, or the whole text; None when it names none."""
    if answer.status != 200:
        return None
    text = answer.body.decode(errors="replace").strip()
    try:
        parsed: object = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        parsed = None
    fields = cast("dict[str, object]", parsed) if isinstance(parsed, dict) else {}
    said = [*(fields.get(key) for key in _KEYS), *(answer.headers.get(f"x-{key}") for key in _KEYS), text]
    commits = (one.strip().lower() for one in said if isinstance(one, str))
    return next((one for one in commits if _COMMIT.fullmatch(one)), None)


def is_same(said: str, commit: str) -> bool:
    """True when two names of a commit, of at least 7 digits, can be the same one."""
    return said.startswith(commit) or commit.startswith(said)


async def observe_revision(web: Web, app: App, target: Target, commit: Sha, *, require_up: bool = False) -> Observation:
    """What the target itself says; Blind when it was never taught to. `require_up`: `/up` must be 200, too."""
    url = base_url(app, target)
    if url is None or target.revision_path is None:
        return Blind(f"{app.name} does not say what it runs")
    try:
        said = await _running(web, url, target.revision_path)
        status = (await web.get(f"{url}/up")).status if require_up else 200
    except Unreachable as trouble:
        return CannotTell(str(trouble))
    if said is None:
        return CannotTell(f"{app.name} names no commit at {target.revision_path}")
    if not is_same(said, commit):
        return NotYet(f"now runs {short(said)}")
    return Already(_proof(said)) if status == 200 else NotYet(f"runs {short(said)}, and /up answers {status}")


async def until_serving(
    web: Web,
    clock: Clock,
    app: App,
    target: Target,
    commit: Sha,
    *,
    seconds: float,
    stale: Reason,
    require_up: bool = True,
) -> Facts:
    """Wait until `/up` is 200 and the target names `commit`, for `seconds` at the most.

    StepFailed: it does not serve, or it serves another commit (then with why and next of `stale`). NeedsOperator: it
    serves and should name its commit, and does not.
    """
    give_up_at, pause = clock.now() + timedelta(seconds=seconds), _FIRST_PAUSE_SECONDS
    while True:
        look = await _look(web, app, target, require_up)
        if look.trouble is None and target.revision_path is None:
            return {"verified": False, "proof": f"not verified: {app.name} does not say what it runs"}
        if look.trouble is None and look.running and is_same(look.running, commit):
            return _proof(look.running)
        if clock.now() >= give_up_at:
            raise _verdict(look, app, target, commit, seconds, stale)
        await clock.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


class _Look(msgspec.Struct, frozen=True):
    """`trouble`: why it does not serve; `running`: the commit that it names."""

    trouble: str | None
    running: str | None = None


async def _look(web: Web, app: App, target: Target, require_up: bool) -> _Look:
    url = required_url(app, target)
    try:
        if require_up and (status := (await web.get(f"{url}/up")).status) != 200:
            return _Look(f"{url}/up answers {status}")
        return _Look(None, await _running(web, url, target.revision_path) if target.revision_path else None)
    except Unreachable as trouble:
        return _Look(str(trouble.reasons[0].what))


async def _running(web: Web, url: str, path: str) -> str | None:
    return revision_in(await web.get(f"{url}/{path.lstrip('/')}"))


def _proof(said: str) -> Facts:
    return {"verified": True, "proof": f"runs {short(said)}"}


def _verdict(look: _Look, app: App, target: Target, commit: Sha, seconds: float, stale: Reason) -> Trouble:
    if look.trouble:
        what = f"{app.name} does not serve {short(commit)}"
        return StepFailed(
            what, f"{look.trouble}, {seconds:g} s after the deploy", "look at its log, then release resume"
        )
    if look.running is None:
        why = f"it answers, but {target.revision_path} names no commit, so nobody can tell whether it is the new one"
        return NeedsOperator(f"{app.name} does not say what it runs", why, ANSWER)
    return StepFailed(f"{app.name} runs {short(look.running)}, not {short(commit)}", stale.why, stale.next)
