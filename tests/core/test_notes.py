"""Release notes tell what this ship did, whoever had to help and however often it was resumed (spec 8.6)."""

from __future__ import annotations

from core.errors import StepFailed
from core.journal import RunState
from core.notes import ReleaseNotes
from tests.world.toy_train import RELEASE, Station


async def notes(station: Station) -> ReleaseNotes:
    """The notes of the train."""
    return await station.conductor.notes(RELEASE)


async def test_the_notes_name_what_was_shipped_by_whom_and_how(assembled: Station) -> None:
    assembled.world.blind = {"turf"}
    assert (await assembled.shipped()).state is RunState.FINISHED
    found = await notes(assembled)
    assert found.confirmed_by == "olive"
    assert found.seconds > 0
    assert [(one.name, one.version, one.already_live) for one in found.packages] == [
        ("ledger", "2.0.0", False),
        ("money", "1.1.0", False),
    ]
    heads = {name: assembled.world.refs[name, "main"] for name in ("hub", "turf", "docs")}
    assert {(one.name, one.sha, one.deployed, one.verified) for one in found.apps} == {
        ("hub", heads["hub"], True, True),
        ("turf", heads["turf"], True, False),
        ("docs", heads["docs"], False, False),
    }
    assert [(one.slug, one.repositories) for one in found.tasks] == [
        ("pay", ("money", "ledger")),
        ("seats", ("hub", "turf")),
        ("words", ("docs",)),
    ]
    assert found.warnings == ()


async def test_a_package_that_was_live_before_is_told_as_such_after_a_resume_too(assembled: Station) -> None:
    world = assembled.world
    [artefact] = (await assembled.conductor.status(RELEASE)).release.frozen[1].artefacts
    world.published["money", "1.1.0"] = {artefact.filename: artefact.sha256}
    world.fail("deploy hub", StepFailed("hub does not serve"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert {one.name: one.already_live for one in (await notes(assembled)).packages} == {"ledger": False, "money": True}
