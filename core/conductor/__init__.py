"""The use cases of the train: every face calls these and says who asks; no face decides anything.

One room for each: filling a train, preparing it, shipping it, going on with a run that stopped, looking.
"""

from __future__ import annotations

from core.conductor.filling import Filling
from core.conductor.looking import Looking, Status
from core.conductor.preparing import Assembly, Preparing
from core.conductor.running import Running
from core.conductor.shipping import OFFER_LASTS, Offer, PlanChanged, Shipping
from core.train.answer import Answer


class Conductor(Filling, Preparing, Shipping, Running, Looking):
    """Opens, fills, prepares, ships and closes trains."""


__all__ = ["OFFER_LASTS", "Answer", "Assembly", "Conductor", "Offer", "PlanChanged", "Status"]
