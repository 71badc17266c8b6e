"""Several real processes on one record and one world: the command line ships, dies, is refused, and takes over.

Whoever holds `releasing` of an app keeps its build waiting: so long the process that pushed is in the middle of a ship.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal

from core.journal import RunState
from tests.world.demo_trains import DemoJourney
from tests.world.stations import RELEASE, Said, said

KILLED = -signal.SIGKILL
SHIP, RESUME = ("release", "ship", RELEASE, "--confirm"), ("release", "resume", RELEASE)


def typed(advice: str) -> list[str]:
    """The last command that a text advises, as one would type it."""
    return shlex.split(re.findall(r"stationmaster (.+)", advice)[-1])


def require_plain(one: Said) -> None:
    """Fit for a pipe: no escapes that paint a terminal, and nothing where errors go."""
    assert "\x1b" not in one.out
    assert one.err == ""


async def test_a_process_that_is_killed_while_it_publishes_is_taken_over_at_once(packages: DemoJourney):
    published = packages.await_effects("index.published", 2)
    first = await packages.spawn(*SHIP, await packages.offered())
    await published()
    first.kill()
    assert (await said(first)).exit_code == KILLED
    refused = await packages.type("release", "ship", RELEASE)
    assert refused.exit_code == 2
    assert "nobody drives it" in refused.err
    status = (await packages.type("release", "status")).out
    assert typed(status) == ["release", "resume", RELEASE]
    finished = await packages.type(*typed(status))
    assert finished.exit_code == 0
    require_plain(finished)
    assert finished.out.splitlines()[-1] == "✓ r1 is shipped"
    await packages.require_shipped_once()


async def test_a_process_that_is_killed_while_it_deploys_finds_its_own_work(satellite: DemoJourney):
    released, up = (satellite.await_effects(f"platform.{kind}", 1) for kind in ("release", "boot"))
    first = await satellite.spawn(*SHIP, await satellite.offered())
    await released()
    first.kill()
    assert (await said(first)).exit_code == KILLED
    await up()  # what had reached the platform went on without us
    finished = await satellite.type(*RESUME)
    assert finished.exit_code == 0
    assert "✓ deploy kiosk" in finished.out
    await satellite.require_shipped_once()


async def test_a_second_ship_is_refused_and_names_who_holds_the_train_and_since_when(satellite: DemoJourney):
    plan = await satellite.offered()
    async with satellite.world.platform.apps["kiosk"].releasing:
        first = await satellite.spawn(*SHIP, plan)
        await satellite.started("deploy:kiosk")
        for words in ((*SHIP, plan), RESUME):
            second = await satellite.type(*words)
            assert second.exit_code == 2, words
            assert second.out == ""
            assert re.search(rf"pid {first.pid} holds the train\W+since .*\d\d:\d\d:\d\d UTC", second.err), second.err
    ended = await said(first)
    assert ended.exit_code == 0
    require_plain(ended)
    lines = [line.partition(" ")[2] for line in ended.out.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    assert lines[:2] == ["▸ ship of r1 confirmed by olive", "▸ advance main of kiosk"]
    assert lines[-1].startswith("✓ record the release as shipped")
    assert len(lines) == len(set(lines))
    await satellite.require_shipped_once()


async def test_a_failing_step_exits_with_1_and_what_is_advised_goes_on(satellite: DemoJourney):
    satellite.break_once("deploy:kiosk")
    stopped = await satellite.type(*SHIP, await satellite.offered())
    assert stopped.exit_code == 1
    require_plain(stopped)
    assert "✗ bin/deploy of kiosk exited with 1" in stopped.out
    assert typed(stopped.out) == ["release", "resume", RELEASE]
    both = await asyncio.gather(*(satellite.type(*typed(stopped.out)) for _ in range(2)))
    assert sorted({one.exit_code for one in both}) in ([0], [0, 2]), both
    await satellite.require_shipped_once()
    told = json.loads((await satellite.type("deployments", "--json")).out)
    assert [one["release"] for one in told if one["app"]["name"] == "kiosk"] == [RELEASE]
    assert (
        json.loads((await satellite.type("release", "status", RELEASE, "--json")).out)["release"]["state"] == "shipped"
    )
    assert json.loads((await satellite.type("release", "notes", "--json")).out)["release"] == RELEASE


async def test_programs_read_plan_deployments_and_notes_as_json(satellite: DemoJourney):
    offered = await satellite.proposal()
    plan = json.loads((await satellite.type("release", "plan", "--json")).out)
    assert plan["digest"] == offered.digest
    assert [one["step"] for one in plan["previews"]] == [one.step for one in offered.previews]
    await satellite.ship()
    told = json.loads((await satellite.type("deployments", "--json")).out)
    assert [one["release"] for one in told if one["app"]["name"] == "kiosk"] == [RELEASE]
    assert json.loads((await satellite.type("release", "notes", "--json")).out)["release"] == RELEASE


async def test_nobody_at_the_terminal_exits_with_3_and_the_command_that_is_shown_ships(satellite: DemoJourney):
    dry = await satellite.type("release", "ship", "--dry-run")
    asked = await satellite.type("release", "ship")
    assert (dry.exit_code, asked.exit_code) == (0, 3)
    assert "nobody was there to confirm" in asked.out + asked.err
    assert (await satellite.station.conductor.status(RELEASE)).progress is None
    command = typed(asked.out + asked.err)
    assert command[:-1] == list(SHIP)
    assert f"(plan {command[-1]})" in dry.out
    assert (await satellite.type(*command)).exit_code == 0
    await satellite.require_shipped_once()


async def test_a_question_exits_with_3_until_it_is_answered(hub: DemoJourney):
    hub.world.platform.apps["treasury"].knobs.loses_exit_codes = True
    asking = await hub.type(*SHIP, await hub.offered())
    assert asking.exit_code == 3
    assert "--answer happened" in asking.out
    assert (await hub.type(*RESUME)).exit_code == 3
    assert (await hub.progress()).state is RunState.ASKING
    assert (await hub.type(*RESUME, "--answer", "happened")).exit_code == 0
    await hub.require_shipped_once()
