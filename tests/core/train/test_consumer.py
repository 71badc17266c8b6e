"""What a consumer's lock may take, and what may move in it (spec 6.5)."""

from __future__ import annotations

import pytest

from core.ports import Locked, Origin, Pin
from core.registry import Sha
from core.releases import Stay
from core.train.consumer import branches_out_of_reach, elsewhere, moved, staying

COMMIT = Sha("a" * 40)
PIN = Pin("money", "pypi", "money", "1.1.0")
RIDES = Pin("money", "pypi", "money", commit=COMMIT)


def entry(name: str, version: str, *requires: str, origin: Origin = Origin.REGISTRY) -> Locked:
    commit = COMMIT if origin is Origin.GIT else None
    return Locked(name=name, version=version, origin=origin, commit=commit, requires=requires)


@pytest.mark.parametrize("origin", [one for one in Origin if one is not Origin.REGISTRY])
@pytest.mark.parametrize("name", ["money", "ledger"])
def test_nothing_of_ours_may_come_from_anywhere_but_the_registry(origin: Origin, name: str) -> None:
    lock = [entry("money", "1.1.0"), entry(name, "1.1.0", origin=origin)]
    assert len(elsewhere(lock, [PIN], ["ledger", "money"])) == 1
    assert elsewhere([entry("money", "1.1.0"), entry("rich", "1", origin=origin)], [PIN], ["ledger", "money"]) == []


def test_a_pin_that_the_lock_does_not_hold_or_holds_twice_is_told() -> None:
    assert elsewhere([], [PIN], []) == ["money not at all"]
    assert elsewhere([entry("money", "1.0.0"), entry("money", "1.1.0")], [PIN], []) == ["money 1.0.0"]


def test_for_qa_what_rides_is_at_its_commit_and_what_does_not_ride_stays_where_it_is() -> None:
    rides, other = entry("money", "1.1.0", origin=Origin.GIT), entry("ledger", "1", origin=Origin.GIT)
    assert elsewhere([rides, other], [RIDES], ["ledger", "money"]) == []
    assert elsewhere([entry("money", "1.1.0"), other], [RIDES], ["ledger", "money"]) == ["money 1.1.0"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([entry("rich", "13")], [entry("rich", "14")], ["rich 13 → 14"]),
        ([entry("rich", "13")], [entry("rich", "13", origin=Origin.URL)], ["rich 13 → 13 from url"]),
        ([entry("rich", "13")], [], ["rich 13 → not there"]),
        ([entry("rich", "13")], [entry("rich", "13"), entry("click", "8")], ["click not there → 8"]),
        ([entry("money", "1.0", "rich"), entry("rich", "13")], [entry("money", "1.1.0"), entry("rich", "14")], []),
        ([entry("money", "1.0")], [entry("money", "1.1.0", "rich"), entry("rich", "14")], []),
        ([entry("hub", "1", origin=Origin.WORKSPACE)], [entry("hub", "2", origin=Origin.WORKSPACE)], []),
        ([], [entry("rich", "14")], []),
    ],
)
def test_nothing_moves_but_the_pins_and_what_they_need(before: list[Locked], after: list[Locked], told: list[str]):
    assert moved(before, after, [PIN]) == told


def test_only_what_rides_is_told_and_only_while_it_is_another_version() -> None:
    stays = [Stay("money", "1.1.0"), Stay("ledger", "1.0"), Stay("money", file="Pipfile line 3")]
    assert [one.what for one in staying("hub", stays, {"money": "1.1.0"})] == ["hub names money in Pipfile line 3"]
    assert next(one.what for one in staying("hub", stays, {"money": ""})) == "hub stays on money 1.1.0"


def test_a_branch_in_a_file_that_nobody_re_pins_is_refused_where_it_rides() -> None:
    stays = [Stay("money", file="requirements.txt line 1", by_reference=True)]
    [reason] = branches_out_of_reach("hub", stays, {"money"})
    assert reason.what == "hub takes money from a branch in requirements.txt line 1"
    assert branches_out_of_reach("hub", stays, {"ledger"}) == []
    assert staying("hub", stays, {"money": "1"}) == []
