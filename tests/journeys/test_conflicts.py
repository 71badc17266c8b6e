"""Two tasks want the same line: one is left behind with the paths, the rest ride on, and nothing is resolved for
anyone (spec 4.2).
"""

from __future__ import annotations

from core.conversation import RemarkKind
from core.journal import RunKind, RunState
from core.releases import ReleaseState
from core.tasks import Stage
from core.train.sightings import Mark
from tests.world.demo_trains import DemoJourney
from tests.world.stations import OLIVE, RELEASE


async def test_a_conflict_is_ejected_with_its_paths_and_the_rest_ride_on(satellite: DemoJourney) -> None:
    conductor, board = satellite.station.conductor, satellite.station.board
    await satellite.review("kiosk-prices", shape="script", repositories=["kiosk"])
    await satellite.git("kiosk", "checkout", "--quiet", "--force", "-B", "feat/kiosk-sign", "origin/main")
    (satellite.checkout("kiosk") / "sign.txt").write_text("this way\n")
    await satellite.git("kiosk", "add", "--all")
    await satellite.git("kiosk", "commit", "--quiet", "--message", "A sign")
    await satellite.git("kiosk", "push", "--quiet", "origin", "feat/kiosk-sign")
    await satellite.review("kiosk-sign", shape="script", repositories=["kiosk"])
    for slug in ("kiosk-prices", "kiosk-sign"):
        await conductor.add(OLIVE, slug)

    run = await conductor.prepare(OLIVE, RELEASE)
    assert run.kind is RunKind.PREPARE
    progress = await satellite.drive(run)
    assert (progress.state, progress.reasons) == (RunState.FINISHED, ())

    release = (await conductor.status(RELEASE)).release
    assert (release.state, release.members) == (ReleaseState.ASSEMBLED, ("kiosk-hours", "kiosk-sign"))
    page = await board.show(OLIVE, "kiosk-prices")
    assert (page.task.stage, page.task.release) == (Stage.REVIEWED, None)
    [feedback] = [remark for remark in page.remarks if remark.kind is RemarkKind.QA_FEEDBACK]
    assert feedback.is_open and feedback.body.endswith("kiosk:\n- web.py")

    table = await conductor.standing(RELEASE)
    assert {(row.task, row.merged, row.frozen) for row in table.rows} == {
        ("kiosk-hours", Mark.YES, Mark.YES),
        ("kiosk-sign", Mark.YES, Mark.YES),
    }
    await satellite.git("kiosk", "fetch", "--quiet", "origin")
    newest = await satellite.git("kiosk", "log", "-1", "--format=%s%n%b", "origin/release")
    assert newest.split("\n")[:2] == ["Merge task kiosk-sign (feat/kiosk-sign)", "Task: kiosk-sign"]
    assert len((await satellite.git("kiosk", "log", "-1", "--format=%P", "origin/release")).split()) == 2

    assert (await satellite.ship()).state is RunState.FINISHED
    assert {row.live for row in (await conductor.standing(RELEASE)).rows} == {Mark.YES}
