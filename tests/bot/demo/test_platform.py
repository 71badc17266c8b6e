"""The demo's platform, pushed to by real git and asked by a real HTTP client."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import textwrap
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import pytest

from bot.demo.platform import Platform
from core.registry import Sha
from tests.world.processes import living_in
from tests.world.pushed_app import WEB, PushedApp
from tests.world.waiting import until

PATIENCE_SECONDS = 10


@pytest.fixture
def source(tmp_path: Path) -> PushedApp:
    return PushedApp(tmp_path / "hub")


@pytest.fixture
def records() -> list[tuple[str, dict[str, object]]]:
    return []


@pytest.fixture
async def platform(tmp_path: Path, records: list[tuple[str, dict[str, object]]]) -> AsyncGenerator[Platform]:
    refused = {"wallet": "wallet rides after hub"}
    async with Platform(
        tmp_path / "platform",
        ["hub", "wallet"],
        record=lambda kind, payload: records.append((kind, dict(payload))),
        may_release=lambda app, commit: refused.get(app),
    ) as platform:
        yield platform


async def look(url: str) -> tuple[int, str]:
    """Status and text of `/up`; 0 when nobody listens."""
    try:
        async with aiohttp.ClientSession() as client, client.get(f"{url}/up") as answer:
            return answer.status, await answer.text()
    except aiohttp.ClientError:
        return 0, ""


async def until_up(url: str, expected: str | int) -> None:
    """Wait until `/up` has that status, or names that commit."""

    async def is_up() -> bool:
        status, text = await look(url)
        return status == expected or str(expected) in text

    await until(is_up)


async def push(source: PushedApp, platform: Platform, commit: Sha, app: str = "hub") -> tuple[int, str, str]:
    done = await asyncio.to_thread(source.push, platform.apps[app].remote, commit)
    return done.returncode, done.stdout, done.stderr


async def heroku(platform: Platform, *words: str, key: str | None = None) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        str(platform.bin / "heroku"),
        *words,
        env={"HEROKU_API_KEY": platform.api_key if key is None else key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    return child.returncode or 0, out.decode(), err.decode()


async def test_what_is_pushed_serves_its_own_revision(platform: Platform, source: PushedApp):
    hub = platform.apps["hub"]
    assert await look(hub.url) == (503, "Application error")
    for _ in range(2):
        commit = source.commit()
        code, out, err = await push(source, platform, commit)
        assert code == 0, err
        assert "refs/heads/main\t" in out
        await until_up(hub.url, commit)


async def test_a_failing_build_declines_the_push_and_builds_again_at_the_next(platform: Platform, source: PushedApp):
    commit = source.commit(f"build: echo compiling; test -e {source.folder}/mended\n{WEB}")
    code, out, err = await push(source, platform, commit)
    assert code == 1
    assert "[remote rejected] (pre-receive hook declined)" in out
    assert "compiling" in err and "Push rejected, failed to compile hub" in err
    assert platform.apps["hub"].releases == []
    (source.folder / "mended").touch()
    assert (await push(source, platform, commit))[0] == 0


async def test_a_failed_release_phase_leaves_the_push_at_0_and_the_old_code_up(platform: Platform, source: PushedApp):
    good = source.commit()
    await push(source, platform, good)
    await until_up(platform.apps["hub"].url, good)
    bad = source.commit(f"release: echo migrating; test -e {source.folder}/mended\n{WEB}")
    code, out, err = await push(source, platform, bad)
    assert code == 0
    assert "migrating" in err and "Waiting for release.... failed." in err
    assert "[up to date]" in (await push(source, platform, bad))[1]
    assert good in (await look(platform.apps["hub"].url))[1]
    _, out, _ = await heroku(platform, "releases", "--json", "-n", "1", "--app=hub")
    assert [(one["status"], one["current"], one["description"]) for one in json.loads(out)] == [
        ("failed", False, f"Deploy {bad[:8]}")
    ]
    (source.folder / "mended").touch()
    assert (await heroku(platform, "releases:retry", "--app=hub"))[0] == 0
    await until_up(platform.apps["hub"].url, bad)


async def test_an_app_that_crashes_on_boot_is_503_behind_the_router(platform: Platform, source: PushedApp):
    good, bad = source.commit(), source.commit("web: exit 1\n")
    await push(source, platform, good)
    await until_up(platform.apps["hub"].url, good)
    assert (await push(source, platform, bad))[0] == 0
    await until_up(platform.apps["hub"].url, 503)


@pytest.mark.parametrize(("preboot", "meanwhile"), [(True, 200), (False, 503)])
async def test_until_the_new_process_answers_the_old_one_does_or_with_no_preboot_nobody(
    platform: Platform, source: PushedApp, preboot: bool, meanwhile: int
):
    hub, old = platform.apps["hub"], source.commit()
    await push(source, platform, old)
    await until_up(hub.url, old)
    hub.knobs.preboot, hub.knobs.boot_delay_seconds = preboot, 2
    new = source.commit()
    await push(source, platform, new)
    status, text = await look(hub.url)
    assert (status, new in text) == (meanwhile, False)
    await until_up(hub.url, new)


async def test_a_release_out_of_order_is_refused_and_recorded(
    platform: Platform, source: PushedApp, records: list[tuple[str, dict[str, object]]]
):
    commit = source.commit()
    code, _, err = await push(source, platform, commit, "wallet")
    assert code == 1 and "wallet rides after hub" in err
    assert records == [("platform.impossible", {"app": "wallet", "commit": commit, "why": "wallet rides after hub"})]


async def test_each_effect_is_recorded_once(
    platform: Platform, source: PushedApp, records: list[tuple[str, dict[str, object]]]
):
    commit = source.commit()
    await push(source, platform, commit)
    await until_up(platform.apps["hub"].url, commit)
    assert (await heroku(platform, "run", "--exit-code", "--app=hub", "--", "echo $REVISION; false"))[0] == 1
    assert records == [
        ("platform.release", {"app": "hub", "commit": commit, "version": 1}),
        ("platform.boot", {"app": "hub", "commit": commit, "boots": True}),
        ("platform.run", {"app": "hub", "command": "echo $REVISION; false", "exit": 1}),
    ]


async def test_the_command_repeats_words_it_knows_and_hides_exit_codes_unless_asked(
    platform: Platform, source: PushedApp
):
    commit = source.commit()
    await push(source, platform, commit)
    code, out, err = await heroku(platform, "run", "--app=hub", "--", "echo $REVISION; exit 3")
    assert (code, out) == (0, f"{commit}\n")
    code, out, err = await heroku(platform, "run", "--exit-code", "--app", "hub", "--", "echo", "hub")
    assert code == 127 and "Running hub echo hub on hub..." in err
    assert "Process exited with code 127" in err
    code, _, err = await heroku(platform, "run", "--exit-code", "--app=hub", "--", "exit 5")
    assert code == 1 and "No exit code returned" in err


async def test_a_wrong_key_and_an_unknown_app_are_refused_in_herokus_words(platform: Platform):
    code, _, err = await heroku(platform, "releases", "--json", "--app=hub", key="wrong")
    assert code == 1 and "The token provided to HEROKU_API_KEY is invalid." in err
    code, _, err = await heroku(platform, "releases", "--json", "--app=nosuch")
    assert code == 2 and "Couldn't find that app." in err
    code, _, err = await heroku(platform, "releases:rollback", "--app=hub")
    assert code == 2 and "Couldn't find that release." in err


async def test_killed_and_started_again_it_serves_the_same_code_at_the_same_place(tmp_path: Path, source: PushedApp):
    program = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from bot.demo.platform import Platform

        async def main():
            async with Platform(Path({str(tmp_path / "platform")!r}), ["hub"]) as platform:
                print(platform.apps["hub"].url, platform.apps["hub"].remote, flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
    """)
    places: list[str] = []
    commit = source.commit("web: exec python3 -S serve.py\n")
    for start in range(2):
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
        try:
            assert child.stdout
            places.append((await child.stdout.readline()).decode())
            url, remote = places[-1].split()
            if start == 0:
                assert (await asyncio.to_thread(source.push, remote, commit)).returncode == 0
            await until_up(url, commit)
        finally:
            child.send_signal(signal.SIGKILL)
            await child.wait()
        await until(lambda: not living_in(tmp_path))
    assert places[0] == places[1]


async def test_a_platform_that_starts_again_complains_of_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    for _ in range(2):
        async with Platform(tmp_path / "platform", ["hub"]):
            pass
    assert capfd.readouterr() == ("", "")
