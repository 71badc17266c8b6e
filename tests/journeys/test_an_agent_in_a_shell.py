"""Tasks go from new to reviewed by the command line alone, the way docs/agents.md tells an agent to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot.cli import cli
from tests.bot.test_cli import Desk

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"


class Shell(Desk):
    """A terminal in a folder with a configuration."""

    def script(self, text: str) -> str:
        """Run it in a real shell, where `stationmaster` is on the path; what it printed."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        bash = ("bash", "-euo", "pipefail", "-c", text)
        environ = os.environ | self.env | {"PATH": path}
        result = subprocess.run(
            bash, cwd=self.state.parent, env=environ, capture_output=True, text=True, timeout=300, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def task(self, actor: str, *words: str, given: str = "") -> Result:
        """Type `stationmaster task WORDS --json`."""
        environ = self.env | {"STATIONMASTER_ACTOR": actor}
        return CliRunner().invoke(cli, ["task", *words, "--json"], env=environ, input=given, catch_exceptions=False)

    def told(self, actor: str, *words: str, given: str = "") -> Mapping[str, Any]:
        """It is done; what it says."""
        result = self.task(actor, *words, given=given)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def denied(self, actor: str, *words: str, given: str = "") -> list[str]:
        """It is refused; everything that is wrong."""
        result = self.task(actor, *words, given=given)
        assert (result.exit_code, result.stdout) == (2, "")
        return [reason["what"] for reason in json.loads(result.stderr)["reasons"]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Nothing is on record."""
    return Shell(tmp_path)


def test_what_the_page_for_agents_says_works_as_it_is_written(shell: Shell) -> None:
    shapes = "feature_shapes.yml"  # of what ships, so that the page is true of it
    shutil.copy(PAGE.parents[1] / "config" / shapes, shell.config / shapes)
    printed = shell.script("\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)))
    page = shell.told("ada", "show", "fees")
    stages = [move["to"] for move in page["moves"]]
    assert stages == ["designed", "building", "submitted", "blocked", "building", "submitted", "reviewed"]
    assert [move["tokens"] for move in page["moves"] if move["to"] == "submitted"] == [182000, 21000]
    assert "1. [blocker] negative fees" in printed and "2. [nit] a comma" in printed


def test_an_agent_brings_a_task_to_review_by_what_refusals_tell_it(shell: Shell) -> None:
    shell.told("ada", "new", "Gold seats", "--repo", "treasury", "--shape", "ui")
    assert shell.denied("ada", "start", "gold-seets") == ["unknown task 'gold-seets'"]
    shell.told("ada", "start", "gold-seats")
    missing = [reason["what"] for reason in shell.told("ada", "show", "gold-seats")["missing"]]
    assert missing == ["no [unit] check", "gold-seats has no acceptance criteria", "gold-seats has no test plan"]
    assert shell.denied("ada", "handoff", "gold-seats", "--changed", "seats") == missing
    wrong = shell.denied("ada", "handoff", "gold-seats", "--file", "-", given='{"chnged": 1, "checks": "x"}')
    assert wrong == ["changed is missing", "unknown key 'chnged'", "checks is not what it should be"]
    shell.told("ada", "edit", "gold-seats", "--acceptance", "-", "--test-plan", "look", given="- gold\n- seats\n")
    handoff = json.dumps({"changed": "x" * 5000, "checks": ["[unit] make test: 3 passed"]})
    assert shell.told("ada", "handoff", "gold-seats", "--file", "-", given=handoff)["stage"] == "submitted"
    assert shell.denied("ada", "review", "gold-seats", "heavy", "approve") == ["ada built gold-seats"]
    assert shell.told("rex", "review", "gold-seats", "heavy", "approve")["stage"] == "submitted"
    assert shell.denied("rex", "review", "gold-seats", "light", "approve") == ["rex has the heavy seat"]
    assert shell.told("tess", "review", "gold-seats", "light", "approve")["stage"] == "reviewed"


def test_two_agents_edit_one_task_and_nothing_is_overwritten(shell: Shell) -> None:
    seen = shell.told("ada", "new", "Gold seats", "--repo", "treasury", "--shape", "ui")["revision"]
    shell.told("bob", "edit", "gold-seats", "--acceptance", "theirs", "--revision", str(seen))
    both = ("edit", "gold-seats", "--acceptance", "mine", "--context", "mine", "--revision", str(seen))
    assert shell.denied("ada", *both) == ["acceptance_criteria of gold-seats has changed since you looked"]
    merged = shell.told("ada", "edit", "gold-seats", "--context", "mine", "--revision", str(seen))
    assert (merged["acceptance_criteria"], merged["agent_context"]) == ("theirs", "mine")
