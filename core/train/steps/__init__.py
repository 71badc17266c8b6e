"""One act of a ship per file. Every step obeys the five laws of `core.train.step`."""

from __future__ import annotations

from core.train.steps.advance import Advance
from core.train.steps.deploy import Deploy
from core.train.steps.eject import Eject
from core.train.steps.freeze import Freeze
from core.train.steps.gate import Gate
from core.train.steps.merge import Merge
from core.train.steps.post_deploy import PostDeploy
from core.train.steps.publish import Publish
from core.train.steps.record import Record
from core.train.steps.repin import Repin
from core.train.steps.seal import Seal
from core.train.steps.tag import Tag

AnyStep = Merge | Eject | Publish | Tag | Repin | Gate | Advance | Deploy | PostDeploy | Freeze | Seal | Record

__all__ = [
    "Advance",
    "AnyStep",
    "Deploy",
    "Eject",
    "Freeze",
    "Gate",
    "Merge",
    "PostDeploy",
    "Publish",
    "Record",
    "Repin",
    "Seal",
    "Tag",
]
