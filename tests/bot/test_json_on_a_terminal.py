"""What `--json` prints is for programs, and is read by people in terminals all the same."""

from __future__ import annotations

import json

import pytest

from bot.command_line import say_json


def test_json_repaints_no_terminal_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {"title": "é 金 \x1b[2J \x9b31m \u202eevil\u2066 \u2028 \U000e0001 \x7f"}
    say_json(hostile)
    printed = capsys.readouterr().out
    assert json.loads(printed) == hostile
    assert all(char.isprintable() for line in printed.split("\n") for char in line)
    assert "é 金" in printed, "what people write in stays readable"
