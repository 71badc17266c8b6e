"""What a confirmation covers beside the plan: the program that will act, and the registries as they were configured.

A plan holds its repositories and targets; everything else that an act depends on is written down with the run, and
compared before every act (spec 6.2). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.errors import Reason
from core.registry import Package
from core.train.steps import AnyStep

PROGRAM = "stationmaster"
Configuration = Mapping[str, str]
"""What is configured → how. The program is `PROGRAM`; a registry's settings begin with its name and a blank."""


def bearing_on(steps: Sequence[AnyStep], everything: Configuration) -> dict[str, str]:
    """The part of `everything` that these steps depend on: the program, and the registries that they use."""
    used = {pin.ecosystem for step in steps for pin in getattr(step, "pins", ())}
    used |= {one.ecosystem for step in steps if isinstance(one := getattr(step, "package", None), Package)}
    used |= {one.ecosystem for step in steps if isinstance(one := getattr(step, "repository", None), Package)}
    return {key: value for key, value in everything.items() if key == PROGRAM or key.partition(" ")[0] in used}


def differences(was: Configuration, now: Configuration, again: str) -> list[Reason]:
    """Why what was confirmed must not be driven here; `again` is the command that asks for a new confirmation."""
    found: list[Reason] = []
    for key, value in was.items():
        if (here := now.get(key, "not there")) == value:
            continue
        what = "another version of stationmaster" if key == PROGRAM else "another configuration"
        why = f"{key} was {value}, and is {here} here"
        found.append(Reason(f"this was confirmed with {what}", why, f"{again}; what is done already is recognised"))
    return found
