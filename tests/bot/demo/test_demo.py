"""`stationmaster demo` as a newcomer runs it: without a terminal, without anything but Python and git."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# What a hook, or somebody's configuration, tells git: none of it may lead the demo astray.
_MISLED = {f"GIT_{name}": "/nowhere" for name in ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "TEMPLATE_DIR")}


def play(*options: str) -> subprocess.CompletedProcess[str]:
    """The demo, as a pipe sees it; PATH has git and little else, and git is told odd things."""
    with tempfile.TemporaryDirectory() as home:
        Path(home, ".gitconfig").write_text("[broken\n[init]\n\ttemplateDir = /nowhere\n")
        return _played(*options, **_MISLED, HOME=home, XDG_CONFIG_HOME=home)


def _played(*options: str, **told: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": "/usr/bin:/bin", **told}
    argv = [sys.executable, "-m", "bot", "demo", *options]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=170, check=False)


def test_the_demo_ships_a_train_and_ends_with_what_is_live_and_sealed(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    ended = play(*state, "--transcript", str(tmp_path / "told.jsonl"))
    assert ended.returncode == 0, ended.stderr
    for in_discords_words in ("<t:", "<@"):  # a moment, somebody: neither can be read in a terminal
        assert in_discords_words not in ended.stdout
    assert "Started by @Olive" in ended.stdout and "Confirmed by Olive" in ended.stdout
    assert "    │ Ben: it conflicts" in ended.stdout
    assert not re.search(r": *$| $", ended.stdout.partition("What is live where:")[0], re.MULTILINE)
    live = what_is_live(ended.stdout)
    assert [line.split()[0] for line in live] == ["wallet", "treasury", "kiosk"]
    assert all("seal green" in line for line in live)
    assert "coin-core 1.1.0, coin-ledger 1.1.0" in live[0]

    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    published = [line["filename"] for line in told if line["kind"] == "index.published" and line["version"] == "1.1.0"]
    assert [name.partition("-")[0] for name in published] == ["coin_core"] * 2 + ["coin_ledger"] * 2
    released = [line["app"] for line in told if line["kind"] == "platform.release" and line["version"] == 2]
    assert released == ["treasury", "wallet", "kiosk"]
    assert any(line["kind"] == "discord.message" and "smoke seal: passed" in line["text"] for line in told)

    for app in ("treasury", "wallet"):
        assert re.search(rf"✅ re-pin {app} to coin-core \w{{7}}, coin-ledger \w{{7}} for QA", ended.stdout)

    again = play(*state)
    assert again.returncode == 0 and "types" not in again.stdout
    assert what_is_live(again.stdout) == live
    assert "The train is shipped, and can be looked at: http://" in stayed_with(*state)


def stayed_with(*options: str) -> str:
    """What a demo that stays up says, until it only waits; then it is interrupted."""
    argv = [sys.executable, "-m", "bot", "demo", "--serve", *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as staying:
        assert staying.stdout
        said = "".join(iter(staying.stdout.readline, "Ctrl-C ends the demo.\n"))
        staying.send_signal(signal.SIGINT)
        assert staying.wait(20) == 0
    return said


def what_is_live(said: str) -> list[str]:
    """The last words of the demo: a line an app."""
    return said.partition("What is live where:\n")[2].splitlines()[:3]


@pytest.mark.parametrize("step", ["publish:coin-ledger", "release:treasury", "deploy:kiosk"])
def test_a_broken_step_stops_the_ship_with_a_report_and_the_resume_button_finishes_it(step: str) -> None:
    ended = play("--break", step)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr
    report = ended.stdout.partition("Ship stopped")[2].partition("Olive presses resume")[0]
    for part in ("What failed", "Already live in production", "Not started", "[Resume ship]", ".log"):
        assert part in report
    assert ended.stdout.count("Olive presses resume") == 1
    assert "seal green" in ended.stdout


def test_a_cooldown_is_refused_at_the_prepare_and_ships_once_what_is_ours_is_exempt() -> None:
    ended = play("--break", "cooldown:treasury")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr
    refused, _, after = ended.stdout.partition("Ben adds to pyproject.toml of treasury")
    assert "exclude-newer-package = { coin-core = false, coin-ledger = false }" in refused
    assert "merge every repository" in after and "seal green" in after


def test_work_that_was_taken_back_is_ejected_and_not_called_live() -> None:
    ended = play("--break", "taken-back:kiosk-hours")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr
    assert "work of feat/kiosk-hours was taken back" in ended.stdout
    kiosk = next(line for line in what_is_live(ended.stdout) if line.strip().startswith("kiosk"))
    assert "no seal" in kiosk and "kiosk 1.0.0" in kiosk


def test_a_step_that_does_not_exist_cannot_be_broken() -> None:
    ended = play("--break", "deploy:kioks")
    assert ended.returncode == 2
    assert "did you mean deploy:kiosk?" in ended.stderr


def test_to_ask_what_can_be_broken_is_no_error() -> None:
    ended = play("--break", "list")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "  deploy:treasury  deploy:wallet  deploy:kiosk\n" in ended.stdout
