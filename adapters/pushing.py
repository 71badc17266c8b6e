"""Pushes in words: the argv that runs, and what git said of it. Pure; nothing here ever forces a ref.

What git is given may come from a configuration, so nothing of it can be taken for an option or a pattern.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from core.errors import Refused, StepFailed, Unreachable
from core.ports import Finished
from core.registry import Argv

# The connection ended before the remote reported; or the ref was not where the remote had just said, which also happens
# when our own push did it: curl sends it again when the first connection ends without one byte of answer.
_UNDECIDED = (
    "[remote failure]",
    *(f"[remote rejected] ({why}" for why in ("failed to", "reference al", "incorrect old")),
)


# What git says before it has sent anything, and what it says when it may have.
_DENIED = re.compile(
    r"Authentication failed|could not read (Username|Password)|Permission denied \(|Invalid username|access denied"
    r"|returned error: 40[13]|[Rr]epository .*not found|Write access .* not granted|HTTP Basic: Access denied"
)
_UNREACHED = re.compile(
    r"Could not resolve (host|proxy)|Failed to connect to|[Cc]onnection refused|Host key verification failed"
    r"|ssh: connect to host|does not appear to be a git repository|SSL certificate problem|server certificate verif"
    r"|CONNECT (aborted|tunnel failed)|HTTP code 407 from proxy|SSL: no alternative certificate"
    r"|returned error: (404|407)|No route to host|Network is unreachable"
)
_UNDER_WAY = re.compile(
    r"RPC failed|hung up|unexpected disconnect|send-pack|[Ww]riting objects|pack-objects|remote: .*(Building|-----)"
)


class PushReport(msgspec.Struct, frozen=True):
    """What git said of one ref. `not sent`: it ended before anything could have arrived. `unknown`: no verdict reached
    us, so only the remote can tell what happened.
    """

    status: Literal["moved", "up to date", "rejected", "not sent", "unknown"]
    summary: str
    stderr: str


def push_argv(url: str, commit: str, branch: str) -> Argv:
    """The fast-forward push of `commit` (a full sha, or a word that stands for one). Pure."""
    return refspec_push(url, commit, ref_name("heads", branch))


def plain(text: str, forbidden: str = "") -> str:
    """`text`, unless git would take it for an option (`--upload-pack=CMD` as an url runs CMD) or for a pattern."""
    if not text or text.startswith("-") or re.search(rf"[\x00-\x1f\x7f{forbidden}]", text):
        raise Refused(f"git may not be given {text!r}", "it would be read as something else", "mend the configuration")
    return text


def ref_name(kind: Literal["heads", "tags"], name: str) -> str:
    """The whole name of a branch or tag."""
    return f"refs/{kind}/" + plain(name, r" ~^:?*\[\\")


def refspec_push(url: str, commit: str, ref: str, *options: str) -> Argv:
    """The push of `commit` to `ref`, whatever kind of ref it is."""
    return ("git", "push", "--porcelain", *options, "--end-of-options", plain(url), f"{plain(commit)}:{ref}")


def verdict(done: Finished, ref: str) -> PushReport:
    """The status line of `ref` decides: git prints `Done`, and even exits 0, for what did not happen."""
    for line in done.stdout.splitlines():
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        if names.endswith(f":{ref}") and not summary.startswith(_UNDECIDED):
            status = "rejected" if flag == "!" else "up to date" if flag == "=" else "moved"
            return PushReport(status, summary, done.stderr)
    certain = done.exit_code and not _UNDER_WAY.search(done.stderr)
    certain = certain and (is_denied(done.stderr) or _UNREACHED.search(done.stderr))
    said = last_words(done.stderr) or f"git exited with {done.exit_code}"
    return PushReport("not sent" if certain else "unknown", said, done.stderr)


def is_denied(stderr: str) -> bool:
    """True when git was told that it may not, rather than not answered."""
    return bool(_DENIED.search(stderr))


def not_taken(what: str, report: PushReport) -> StepFailed | Unreachable:
    """The remote was read back and does not have it."""
    if report.status in ("unknown", "not sent"):
        return Unreachable(f"{what} was not pushed", report.summary, "see that origin can be reached, then resume")
    why = f"origin said {report.summary}: {last_words(report.stderr)}"
    return StepFailed(f"{what} was not taken", why, "see what protects it on origin, then resume")


def last_words(stderr: str) -> str:
    """The end of what git complained of, without its hints."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("hint:")]
    return " / ".join(lines[-4:])
