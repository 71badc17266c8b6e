"""Who goes before whom (spec 6.3): properties over generated dependencies."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.order import hub_first, levels, way
from core.registry import App

NAMES = [f"p{number}" for number in range(8)]


@st.composite
def without_circles(draw: st.DrawFn) -> tuple[list[str], dict[str, set[str]]]:
    """Names in some order, and what each of them requires; now and then a package that does not ride."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, len(NAMES)))]
    ranks = draw(st.permutations(names)) if names else []
    requires = {
        name: draw(st.sets(st.sampled_from([*ranks[:rank], "somewhere else"]))) for rank, name in enumerate(ranks)
    }
    return names, requires


@given(without_circles())
def test_dependencies_go_before_whatever_requires_them(case: tuple[list[str], dict[str, set[str]]]) -> None:
    names, requires = case
    found = levels(names, requires)
    level_of = {name: number for number, level in enumerate(found) for name in level}
    assert sorted(level_of) == sorted(names), "everybody rides exactly once"
    assert all(level_of[needed] < level_of[name] for name in names for needed in requires[name] & set(names))


@given(without_circles())
def test_nobody_waits_longer_than_needed_and_the_given_order_is_kept(
    case: tuple[list[str], dict[str, set[str]]],
) -> None:
    names, requires = case
    found = levels(names, requires)
    for number, level in enumerate(found):
        assert level == sorted(level, key=names.index)
        held_up_by = set(found[number - 1]) if number else set[str]()
        assert number == 0 or all(requires[name] & held_up_by for name in level)


@given(st.integers(1, 5))
def test_a_circle_is_refused_and_shown(length: int) -> None:
    circle = {NAMES[number]: {NAMES[(number + 1) % length]} for number in range(length)}
    with pytest.raises(Refused, match="require each other in a circle") as refusal:
        levels(NAMES, circle)
    assert all(name in refusal.value.reasons[0].why for name in circle)


@given(without_circles(), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_a_way_is_found_where_there_is_one_each_requiring_the_next(
    case: tuple[list[str], dict[str, set[str]]], start: str, end: str
) -> None:
    _names, requires = case
    reached = {start}
    for _ in NAMES:
        reached |= {needed for name in reached for needed in requires.get(name, ())}
    found = way(start, end, requires)
    assert bool(found) == (end in reached)
    assert not found or (found[0], found[-1]) == (start, end)
    assert all(needed in requires[name] for name, needed in pairwise(found))


@given(st.lists(st.booleans(), max_size=6))
def test_the_hub_goes_first_and_the_satellites_keep_their_order(hubs: list[bool]) -> None:
    apps = [App(name=str(number), url="x", hub=hub) for number, hub in enumerate(hubs)]
    found = hub_first(apps)
    assert [app for app in found if app.hub] + [app for app in found if not app.hub] == found
    assert [app for app in found if not app.hub] == [app for app in apps if not app.hub]
