"""The built files are the declaration: what they say is frozen, ordered, published and closed, whatever a text says."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from core.errors import Reason, Refused, Unreachable
from core.journal import RunState
from core.registry import Registry
from core.releases import Frozen
from tests.world.toy_train import OLIVE, RELEASE, Station, draft, registry

PAY = draft("pay", "money", "ledger")


def change(station: Station, name: str, code: str = "", **files: str) -> None:
    """A commit on the release branch of `name` with other `code`, or other files; without content they are gone."""
    world, place = station.world, (name, "release")
    before = world.commits[world.refs[place]][1]
    after = {**before, **{path.replace("_txt", ".txt"): text.encode() for path, text in files.items()}}
    after |= {"code.py": code.encode()} if code else {}
    world.refs[place] = world.commit({path: text for path, text in after.items() if text}, world.refs[place])


def without_version_file(station: Station) -> Station:
    """The same process, whose configuration names no version files."""
    known = registry()
    packages = {name: replace(one, version_file="") for name, one in known.packages.items()}
    return Station(station.world, station.ports.records, station.ports.scratch, Registry(packages, known.apps))


async def refusals(station: Station, *drafts: object) -> list[Reason]:
    """Why a train of money and ledger cannot be frozen."""
    await station.conductor.open(OLIVE, RELEASE, await station.reviewed(PAY))
    with pytest.raises(Refused) as refusal:
        await station.conductor.freeze(OLIVE, RELEASE)
    assert station.world.ledger == [] and (await station.conductor.status(RELEASE)).release.frozen == ()
    return list(refusal.value.reasons)


async def frozen(station: Station) -> dict[str, Frozen]:
    return {one.repository: one for one in (await station.conductor.status(RELEASE)).release.frozen}


async def test_a_text_that_says_another_version_than_was_built_is_refused_and_both_are_named(station: Station) -> None:
    change(station, "money", BUILDS="money-1.0.9")
    change(station, "ledger", needs_txt="")
    [reason] = await refusals(station)
    assert reason.what == "money declares 1.1.0 and builds 1.0.9"
    assert "VERSION says 1.1.0" in reason.why and "money-1.0.9.pkg 1.0.9" in reason.why


async def test_every_package_that_was_built_as_something_else_is_named_at_once(station: Station) -> None:
    change(station, "money", BUILDS="coin-1.0.9")
    change(station, "ledger", BUILDS="ledger-3.0.0")
    assert [reason.what for reason in await refusals(station)] == [
        "ledger declares 2.0.0 and builds 3.0.0",
        "money builds coin 1.0.9, not money",
        "money declares 1.1.0 and builds 1.0.9",
    ]


@pytest.mark.parametrize("named", [True, False], ids=["computed", "no version file"])
async def test_where_the_build_computes_the_version_the_built_file_is_the_declaration(
    station: Station, named: bool
) -> None:
    change(station, "money", VERSION="computed" if named else "", BUILDS="money-1.1.0")
    change(station, "ledger", VERSION="computed" if named else "", BUILDS="ledger-2.0.5")
    if not named:
        station = without_version_file(station)
    await station.prepared(PAY)
    assert {name: one.version for name, one in (await frozen(station)).items()} == {"money": "1.1.0", "ledger": "2.0.5"}
    assert (await station.shipped()).state is RunState.FINISHED
    assert {("money", "1.1.0"), ("ledger", "2.0.5")} == station.world.published.keys()


async def test_the_order_of_publishing_follows_what_was_built(station: Station) -> None:
    await station.prepared(PAY)
    found = await frozen(station)
    assert (found["money"].requires, found["ledger"].requires) == ((), ("money",))
    assert found["ledger"].ranges == {"money": ("1.1.0",)}


async def test_packages_that_require_each_other_are_refused_by_name_before_anything_ships(station: Station) -> None:
    change(station, "money", needs_txt="ledger==2.0.0\n")
    [reason] = await refusals(station)
    assert reason.what == "packages require each other in a circle"
    assert {"money", "ledger"} <= set(reason.why.split(" → "))


async def test_a_package_that_requires_itself_is_no_circle_when_it_takes_what_rides(station: Station) -> None:
    change(station, "ledger", needs_txt="money==1.1.0\nledger==2.0.0\n")
    await station.prepared(PAY)
    assert (await frozen(station))["ledger"].requires == ("money",)


async def test_a_package_that_requires_another_version_of_itself_is_never_published(station: Station) -> None:
    change(station, "ledger", needs_txt="money==1.1.0\nledger==1.0.0\n")
    [reason] = await refusals(station)
    assert reason.what == "nobody could install ledger 2.0.0: it requires ledger 1.0.0"


async def test_a_version_that_comes_from_a_tag_ships_although_its_tag_is_there_before_it(station: Station) -> None:
    change(station, "money", VERSION="", BUILDS="money-1.1.0")
    station = without_version_file(station)
    station.world.tags["money", "v1.1.0"] = station.frozen("money")
    await station.prepared(draft("coins", "money"))
    assert (await station.shipped()).state is RunState.FINISHED


async def test_a_tag_on_another_commit_is_still_a_number_that_is_spent(station: Station) -> None:
    station = without_version_file(station)
    change(station, "money", BUILDS="money-1.1.0")
    station.world.tags["money", "v1.1.0"] = station.world.refs["money", "main"]
    await station.prepared(draft("coins", "money"))
    [problem] = (await station.conductor.plan(RELEASE)).problems
    assert problem.what == "money 1.1.0 was yanked or taken"


# ── closure ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_package_that_needs_a_version_which_nobody_has_is_not_frozen(station: Station) -> None:
    change(station, "ledger", needs_txt="money==1.2.0\n")
    station.world.published["money", "1.0.0"] = {}
    [reason] = await refusals(station)
    assert reason == Reason(
        "nobody could install ledger 2.0.0: it requires money 1.2.0",
        "money rides at 1.1.0, and live of it are 1.0.0",
        "correct the version of money, or the range; or release eject pay; then release prepare",
    )


async def test_a_package_left_alone_by_an_ejection_is_not_frozen_and_the_task_to_eject_is_named(
    station: Station,
) -> None:
    drafts = draft("coins", "money"), draft("books", "ledger"), draft("words", "docs")
    await station.conductor.open(OLIVE, RELEASE, await station.reviewed(*drafts))
    await station.conductor.eject(OLIVE, "coins")
    with pytest.raises(Refused) as refusal:
        await station.conductor.freeze(OLIVE)
    [reason] = refusal.value.reasons
    assert reason.why == "money does not ride, and nothing of it is live"
    assert reason.next == "bring a money that fits aboard; or release eject books; then release prepare"
    await station.conductor.eject(OLIVE, "books")
    assert [one.repository for one in (await station.conductor.freeze(OLIVE)).frozen] == ["docs"]


async def test_what_is_live_is_enough_where_it_does_not_ride(station: Station) -> None:
    station.world.published["money", "1.1.0"] = {}
    await station.prepared(draft("books", "ledger"))
    assert (await station.shipped()).state is RunState.FINISHED


async def test_what_is_live_and_fits_is_enough_although_another_version_rides(station: Station) -> None:
    change(station, "ledger", needs_txt="money==1.0.0\n")
    station.world.published["money", "1.0.0"] = {}
    await station.prepared(PAY)


async def test_what_was_yanked_since_the_freeze_stops_the_ship_before_anything_is_public(station: Station) -> None:
    world = station.world
    world.published["money", "1.1.0"] = {}
    await station.prepared(draft("books", "ledger"))
    world.yanked.add(("money", "1.1.0"))
    problems = (await station.conductor.plan(RELEASE)).problems
    assert [one.what for one in problems] == ["nobody could install ledger 2.0.0: it requires money 1.1.0"]
    assert world.ledger == []


async def test_a_silent_registry_is_cannot_tell_and_asked_again_before_the_ship(station: Station) -> None:
    world = station.world
    await station.conductor.open(OLIVE, RELEASE, await station.reviewed(draft("books", "ledger")))
    world.silent = {"registry"}
    await station.conductor.freeze(OLIVE)
    found = [one.what for one in (await station.conductor.plan(RELEASE)).problems]
    assert "cannot tell whether anybody could install ledger 2.0.0: it requires money 1.1.0" in found
    assert not any("nobody could install" in one for one in found)
    world.silent.clear()
    found = [one.what for one in (await station.conductor.plan(RELEASE)).problems]
    assert found == ["nobody could install ledger 2.0.0: it requires money 1.1.0"]


# ── built once ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_prepare_after_a_partial_ship_takes_the_files_of_the_first_freeze(station: Station) -> None:
    """Two builds of one commit may differ, and one of them is public."""
    world = station.world
    world.unsteady = True
    await station.prepared(PAY)
    first = await frozen(station)
    world.fail("publish ledger", Refused("ledger may not be pushed"))
    assert (await station.shipped()).state is RunState.STOPPED
    await station.conductor.add(OLIVE, *await station.reviewed(draft("words", "docs")))
    await station.conductor.freeze(OLIVE)
    assert {name: one.artefacts for name, one in (await frozen(station)).items() if one.artefacts} == {
        name: one.artefacts for name, one in first.items()
    }
    assert world.built == ["money", "ledger"] or sorted(world.built) == ["ledger", "money"]
    assert (await station.shipped()).state is RunState.FINISHED


async def test_where_a_tag_gives_the_version_a_new_tag_on_the_same_commit_counts(station: Station) -> None:
    """The build may read more than its commit."""
    world = station.world
    world.unsteady = True
    change(station, "money", VERSION="computed", BUILDS="money-1.1.0")
    await station.prepared(PAY)
    first = (await frozen(station))["money"]
    await station.conductor.freeze(OLIVE)
    assert (await frozen(station))["money"] == first, "the same number keeps its files"
    place = ("money", "release")
    _, files = world.commits[world.refs[place]]
    files["BUILDS"] = b"money-1.1.1"
    change(station, "ledger", needs_txt="")
    await station.conductor.freeze(OLIVE)
    again = (await frozen(station))["money"]
    assert (again.sha, again.version) == (first.sha, "1.1.1")


async def test_a_changed_commit_is_built_anew(station: Station) -> None:
    await station.prepared(PAY)
    change(station, "money", code="other")
    await station.conductor.freeze(OLIVE)
    assert sorted(station.world.built) == ["ledger", "money", "money"]


async def test_what_is_public_already_is_taken_although_the_shelf_has_lost_it(station: Station) -> None:
    world = station.world
    world.unsteady = True
    await station.prepared(PAY)
    first = await frozen(station)
    world.fail("publish ledger", Refused("ledger may not be pushed"))
    await station.shipped()
    world.kept.clear()
    await station.conductor.freeze(OLIVE)
    again = await frozen(station)
    assert again["money"].artefacts == first["money"].artefacts, "nobody needs its bytes any more"
    assert again["ledger"].artefacts != first["ledger"].artefacts, "it is not public, so it may be built anew"
    assert (await station.shipped()).state is RunState.FINISHED


async def test_what_is_public_is_taken_before_a_newer_build_of_the_same_commit(station: Station) -> None:
    world = station.world
    world.unsteady = True
    await station.prepared(PAY)
    first = await frozen(station)
    world.kept.clear()
    await station.conductor.freeze(OLIVE)
    assert (await frozen(station))["money"].artefacts != first["money"].artefacts
    [old] = first["money"].artefacts
    world.published["money", "1.1.0"] = {old.filename: old.sha256}
    await station.conductor.freeze(OLIVE)
    assert (await frozen(station))["money"].artefacts == (old,)


async def test_a_silent_registry_does_not_stop_a_freeze_of_what_is_on_the_shelf(station: Station) -> None:
    await station.prepared(PAY)
    station.world.fail("registry", *[Unreachable("registry does not answer")] * 9)
    await station.conductor.freeze(OLIVE)
    assert len(station.world.built) == 2


async def test_other_bytes_of_our_own_at_our_number_are_said_to_be_ours(station: Station) -> None:
    world = station.world
    await station.prepared(PAY)
    [old] = (await frozen(station))["money"].artefacts
    world.published["money", "1.1.0"] = {old.filename: old.sha256}
    first = world.refs["money", "release"]
    change(station, "money", code="another commit, the same number")
    await station.conductor.freeze(OLIVE)
    [problem] = (await station.conductor.plan(RELEASE)).problems
    assert problem.what == "money 1.1.0 is taken by other bytes"
    assert f"{old.filename} with another content than frozen; we built them from {first[:7]} at" in problem.why
    assert problem.next.startswith("bump the version")


async def test_a_second_build_of_a_public_commit_is_told_from_a_strangers_and_the_next_prepare_mends_it(
    station: Station,
) -> None:
    world = station.world
    world.unsteady = True
    await station.prepared(PAY)
    [old] = (await frozen(station))["money"].artefacts
    world.kept.clear()
    await station.conductor.freeze(OLIVE)
    world.published["money", "1.1.0"] = {old.filename: old.sha256}
    [problem] = (await station.conductor.plan(RELEASE)).problems
    assert "we built them from this commit" in problem.why and "other bytes each time" in problem.why
    assert problem.next == "release prepare, which takes these files"
    await station.conductor.freeze(OLIVE)
    assert (await station.shipped()).state is RunState.FINISHED
