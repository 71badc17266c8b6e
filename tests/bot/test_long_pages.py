"""What others wrote may be long: whoever looks at it in Discord must not stop the bot."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec

from bot import task_screens
from bot.message import CARD_LIMIT
from core.board import TaskPage
from core.conversation import Remark, RemarkKind
from tests.world.toy_train import draft

AT = datetime(2026, 1, 2, tzinfo=UTC)


def shown(page: TaskPage, number: int) -> str:
    """The page `number` as it is sent."""
    return "\n".join(task_screens.task_page(page, number).blocks)


def test_megabytes_of_comments_stop_no_beat_of_a_ship() -> None:
    """A ship beats in the bot's own loop: one look at forty long comments froze it until the train was lost."""
    remark = Remark(task="pay", kind=RemarkKind.COMMENT, author="eve", body="@everyone `" * 90_000, at=AT)
    page = TaskPage(task=draft("pay", "money"), remarks=(remark,) * 40)
    began = time.process_time()
    last = shown(page, 999)
    assert time.process_time() - began < 1
    assert "there is more: `stationmaster task show`" in last and len(last) < CARD_LIMIT


def test_of_a_text_that_is_too_long_for_discord_the_rest_is_counted() -> None:
    page = TaskPage(task=msgspec.structs.replace(draft("pay", "money"), agent_context="x" * 1_000_000))
    whole = "\n".join(shown(page, number) for number in range(1, 12))
    assert "… and 980000 characters more: `stationmaster task show`" in whole
    assert "**Sizing**" in whole, "what comes behind it is there"
