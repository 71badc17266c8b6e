"""Reasons not to start, with everything real: all of them at once, nothing has moved, and what they advise works."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from core.errors import Refused
from core.journal import RunState
from core.releases import Release, ReleaseState
from core.train.proposal import Proposal
from tests.world.demo_trains import HUB, DemoJourney
from tests.world.stations import NEW, OLIVE, RELEASE, Depot

TAKEN = "coin_core-1.1.0-py3-none-any.whl"


def said(proposal: Proposal) -> list[str]:
    """What is wrong, without why and next."""
    return [reason.what for reason in proposal.problems]


async def require_nothing_moved(journey: DemoJourney, *effects: str) -> Release:
    """No ship was begun, and the world is as it was; `effects` are those that the test itself had."""
    status = await journey.station.conductor.status(RELEASE)
    assert status.progress is None
    assert status.release.state is ReleaseState.ASSEMBLED
    assert [kind for kind, _ in journey.effects if kind != "platform.boot"] == list(effects)
    return status.release


async def require_refused(journey: DemoJourney, proposal: Proposal) -> None:
    """There is no way to start a ship with this plan."""
    with pytest.raises(Refused):
        await journey.station.conductor.ship(OLIVE, RELEASE, proposal.digest)


async def freeze_and_ship(journey: DemoJourney) -> None:
    """What a refusal advises, after its cause is gone."""
    await journey.station.conductor.freeze(OLIVE)
    assert (await journey.ship()).state is RunState.FINISHED
    await journey.require_shipped_once()


async def test_every_branch_that_moved_after_the_freeze_is_a_reason_and_a_new_freeze_ships(hub: DemoJourney):
    for name in ("coin-core", "treasury"):
        await hub.push(name, "release", {"NEWS": "more work\n"})
    proposal = await hub.proposal()
    assert set(said(proposal)) == {f"{name} has drifted since the freeze" for name in ("coin-core", "treasury")}
    assert {reason.next for reason in proposal.problems} == {"release prepare"}
    await require_refused(hub, proposal)
    await require_nothing_moved(hub)
    await freeze_and_ship(hub)


async def test_a_main_with_work_that_the_train_lacks_is_a_reason_and_merging_it_ships(train: DemoJourney):
    for name in ("coin-core", "treasury", "kiosk"):
        await train.push(name, "main", {"NEWS": "a hotfix\n"})
    proposal = await train.proposal()
    assert set(said(proposal)) == {f"main of {name} has diverged" for name in ("coin-core", "treasury", "kiosk")}
    await require_nothing_moved(train)
    with pytest.raises(Refused) as refused:
        await train.station.conductor.freeze(OLIVE)
    assert len(refused.value.reasons) == 3
    for name in ("coin-core", "treasury", "kiosk"):
        await train.git(name, "checkout", "--quiet", "release")
        await train.git(name, "merge", "--quiet", "main")
        await train.git(name, "push", "--quiet", "origin", "release")
    await train.station.conductor.freeze(OLIVE)
    assert not (await train.proposal()).problems


async def test_missing_credentials_and_programs_are_named_together_and_once(train: DemoJourney):
    bare = {name: text for name, text in train.environ.items() if name not in ("UV_PUBLISH_TOKEN", "HEROKU_API_KEY")}
    bare["PATH"] = bare["PATH"].removeprefix(str(train.world.platform.bin))
    await train.reopen(bare)
    proposal = await train.proposal()
    assert [(reason.what, reason.why) for reason in proposal.problems] == [
        ("UV_PUBLISH_TOKEN is not set", "needed to publish coin-core 1.1.0"),
        ("HEROKU_API_KEY is not set", "needed to deploy treasury"),
        ("heroku is not installed", "needed to post-deploy of gold-seats on treasury"),
    ]
    await require_refused(train, proposal)
    await require_nothing_moved(train)
    await train.reopen()
    assert not (await train.proposal()).problems


async def test_reasons_of_every_kind_come_at_once(train: DemoJourney):
    await train.upload("coin-core", TAKEN, b"not ours", author="Mallory")
    await train.push("wallet", "release", {"NEWS": "more work\n"})
    await train.push("kiosk", "main", {"NEWS": "a hotfix\n"})
    await train.reopen({name: text for name, text in train.environ.items() if name != "UV_PUBLISH_TOKEN"})
    assert set(said(await train.proposal())) == {
        "UV_PUBLISH_TOKEN is not set",
        "coin-core 1.1.0 is taken by other bytes",
        "wallet has drifted since the freeze",
        "main of kiosk has diverged",
    }
    await require_nothing_moved(train, "index.published")


async def test_an_index_that_does_not_answer_is_cannot_tell_and_nothing_is_started(packages: DemoJourney):
    await packages.world.index.stop()
    proposal = await packages.proposal()
    assert len(proposal.problems) == 2
    assert all("does not answer" in what for what in said(proposal))
    await require_refused(packages, proposal)
    await require_nothing_moved(packages)
    await packages.world.index.start()
    assert (await packages.ship()).state is RunState.FINISHED
    await packages.require_shipped_once()


async def test_a_number_that_holds_other_bytes_is_refused_and_says_whose_they_are(packages: DemoJourney):
    await packages.upload("coin-core", TAKEN, b"not ours", author="Mallory")
    proposal = await packages.proposal()
    assert said(proposal) == ["coin-core 1.1.0 is taken by other bytes"]
    assert "Mallory's" in proposal.problems[0].why
    await require_refused(packages, proposal)
    await require_nothing_moved(packages, "index.published")
    await bump(packages)
    await packages.station.conductor.freeze(OLIVE)
    assert (await packages.ship()).state is RunState.FINISHED
    published = [one["filename"] for one in packages.of("index.published", version="1.1.1")]
    assert len(published) == len(set(published)) == 4
    packages.require_possible()


async def test_a_number_that_was_yanked_is_refused_although_the_bytes_are_ours(packages: DemoJourney):
    release = await require_nothing_moved(packages)
    [artefact, *_] = next(one for one in release.frozen if one.repository == "coin-core").artefacts
    [path] = packages.station.ports.shelf.lay_out([artefact], packages.world.folder / "ours")
    await packages.upload("coin-core", path.name, path.read_bytes())
    packages.world.index.yank("coin-core", NEW, "broken")
    proposal = await packages.proposal()
    assert said(proposal) == ["coin-core 1.1.0 was yanked"]
    assert proposal.problems[0].next == "bump the version, then release prepare"
    await require_nothing_moved(packages, "index.published", "index.yanked")


async def test_a_tag_without_its_version_is_a_number_that_is_spent(packages: DemoJourney):
    await packages.git("coin-core", "push", "--quiet", "origin", "release:refs/tags/v1.1.0")
    assert said(await packages.proposal()) == ["coin-core 1.1.0 was yanked or taken"]
    await require_nothing_moved(packages)


async def test_a_number_that_is_taken_after_the_confirmation_stops_before_the_push(packages: DemoJourney):
    ship = await packages.confirm()
    await packages.upload("coin-core", TAKEN, b"not ours", author="Mallory")
    assert (await packages.drive(ship)).state is RunState.STOPPED
    report = await packages.report()
    assert "coin-core 1.1.0 is taken by other bytes" in report
    assert "Mallory's" in report
    assert "live already" not in report
    assert len(packages.of("index.published")) == 1


async def test_a_world_that_moved_between_the_plan_and_the_button_shows_the_new_plan(packages: DemoJourney):
    shown = await packages.proposal()
    await packages.push("coin-core", "release", {"NEWS": "more work\n"})
    await require_refused(packages, shown)
    await require_nothing_moved(packages)


async def test_a_command_and_a_script_that_cannot_be_found_are_refused_together(depot: Depot[DemoJourney]):
    async with depot.journey() as journey:
        for name, path in (("treasury", "bin/test"), ("kiosk", "bin/deploy")):
            await journey.push(name, "release", {"NEWS": "cleaned up\n"})
            await journey.git(name, "rm", "--quiet", path)
            await journey.git(name, "commit", "--quiet", "--amend", "--message", "Clean up")
            await journey.git(name, "push", "--quiet", "--force", "origin", "release")
        await journey.assemble([*HUB, "kiosk-hours"])
        proposal = await journey.proposal()
        assert said(proposal) == [
            "treasury has no bin/test at the commit that ships",
            "kiosk has no bin/deploy at the commit that ships",
        ]
        await require_nothing_moved(journey)


async def test_a_version_that_is_none_is_refused_at_the_freeze_with_the_log_of_its_build(packages: DemoJourney):
    manifest = '[project]\nname = "coin-core"\nversion = {}\n'
    await packages.push("coin-core", "release", {"pyproject.toml": manifest.format('"one"')})
    await packages.push("coin-ledger", "release", {"pyproject.toml": "[project]\n"})
    with pytest.raises(Refused) as refused:
        await packages.station.conductor.freeze(OLIVE)
    first, second = refused.value.reasons
    assert (first.what, second.what) == ("coin-core does not build", "coin-ledger does not build")
    assert "version" in first.why and Path(first.next.rpartition(" ")[2]).read_text()


async def test_a_number_that_was_not_bumped_where_it_counts_is_refused_at_the_freeze(packages: DemoJourney):
    """The manifest makes 1.1.0, whatever the module says of itself; until then that was found out by the installers."""
    await packages.configure("release_repos", lambda repos: repos["packages"]["coin-core"].update(version_file="V.py"))
    await packages.push("coin-core", "release", {"V.py": '__version__ = "1.2.0"\n'})
    with pytest.raises(Refused, match=r"coin-core declares 1\.2\.0 and builds 1\.1\.0"):
        await packages.station.conductor.freeze(OLIVE)
    await packages.configure("release_repos", lambda repos: repos["packages"]["coin-core"].pop("version_file"))
    assert {one.version for one in (await packages.station.conductor.freeze(OLIVE)).frozen} == {"1.1.0"}


async def test_what_another_member_depends_on_is_not_ejected(hub: DemoJourney):
    with pytest.raises(Refused, match="release eject gold-seats, then again"):
        await hub.station.conductor.eject(OLIVE, "coin-fees")
    await require_nothing_moved(hub)


async def test_check_knows_what_only_a_first_prepare_brings_and_tells_of_a_wrong_token_in_words(satellite: DemoJourney):
    ready = await satellite.type("check")
    assert (ready.exit_code, ready.err) == (2, "")
    assert ready.out.count("✗") == ready.out.count("    → the first prepare brings it there") == 2, ready.out
    satellite.environ = {**satellite.environ, "DISCORD_TOKEN": "somebody-elses"}
    refused = await satellite.type("check")
    assert (refused.exit_code, refused.err) == (2, "")
    assert "✗ Discord does not know this bot token" in refused.out


async def test_a_consumer_on_a_branch_of_a_package_that_does_not_ride_is_refused(depot: Depot[DemoJourney]):
    async with depot.journey() as journey:
        await journey.review("gold-trim", shape="ui", repositories=["treasury"])
        await journey.assemble(["gold-trim"])
        expected = [f"treasury takes {name} from a branch" for name in ("coin-core", "coin-ledger")]
        assert said(await journey.proposal()) == expected
        await require_nothing_moved(journey)


async def bump(journey: DemoJourney, names: Sequence[str] = ("coin-core", "coin-ledger")) -> None:
    """Give the packages the next number."""
    for name in names:
        await journey.git(name, "checkout", "--quiet", "release")
        manifest = journey.world.folder / "checkouts" / name / "pyproject.toml"
        text = manifest.read_text().replace('version = "1.1.0"', 'version = "1.1.1"')
        await journey.push(name, "release", {"pyproject.toml": text})
