"""Where post-deploy commands run for an app whose platform has no client for that (spec 7.2)."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath
from typing import Annotated

from pydantic import AfterValidator, model_validator

from adapters.deploys.options import StrictOptions, Words
from core.ports import Finished
from core.registry import Argv

CHECKOUT = "checkout"
_NOT_CONNECTED = re.compile(
    r"^ssh: (connect to host|Could not resolve)|Permission denied \(|Host key verification", re.M
)


def _outside(prefix: Argv) -> Argv:
    if "/" in prefix[0] and not prefix[0].startswith("/"):
        raise ValueError(f"{prefix[0]!r} is neither a program's name nor an absolute path")
    return prefix


def _plain(prefix: Argv) -> Argv:
    if PurePath(prefix[0]).name == "ssh":
        raise ValueError("ssh hands what follows to a shell: write it below `ssh:`, which quotes for that")
    return prefix


def _folder(place: str) -> str:
    if place != CHECKOUT and not place.startswith("/"):
        raise ValueError(f"{place!r} is neither {CHECKOUT!r} nor an absolute path")
    return place


class Runner(StrictOptions):
    """Exactly one of: `local`, this machine, in a clean worktree at the commit (`checkout`) or in a folder;
    `prefix`, an argv that takes the command's words as they are; `ssh`, one whose far end is a shell.
    """

    local: Annotated[str, AfterValidator(_folder)] | None = None
    prefix: Annotated[Words, AfterValidator(_outside), AfterValidator(_plain)] | None = None
    ssh: Annotated[Words, AfterValidator(_outside)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Runner:
        if sum(one is not None for one in (self.local, self.prefix, self.ssh)) != 1:
            raise ValueError("needs exactly one of local, prefix and ssh")
        return self

    @property
    def tools(self) -> tuple[str, ...]:
        """Programs that must be there before any command is known."""
        return (self.prefix or self.ssh or ())[:1]

    def argv(self, command: Argv) -> Argv:
        """The one argv that is shown and run; for a far shell the command is one quoted word. Pure."""
        return (*self.ssh, shlex.join(command)) if self.ssh else (*(self.prefix or ()), *command)

    def is_unknown(self, ended: Finished) -> bool:
        """ssh says 255 for its own failures and for a remote 255 alike: only some of its own can be told."""
        return bool(self.ssh) and ended.exit_code == 255 and not self.never_began(ended)

    def never_began(self, ended: Finished) -> bool:
        """True when ssh says that it did not even get there."""
        return bool(self.ssh) and ended.exit_code == 255 and bool(_NOT_CONNECTED.search(ended.stderr))
