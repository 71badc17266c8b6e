"""A ship from Discord: plan, click, thread, seal, notes."""

from __future__ import annotations

from core.journal import RunState
from tests.bot.conftest import Yard, buttons, text_of
from tests.world.toy_train import RELEASE


async def test_one_click_ships_the_whole_train_and_the_thread_tells_it(yard: Yard) -> None:
    async with yard.bot():
        plan = await yard.offered()
        await yard.pressed(plan, "Ship it")
        await yard.until(lambda: bool(yard.boards()))
        assert buttons(yard.message(plan["id"])) == {}
        await yard.station.dispatcher.tick()
        await yard.settled()
        await yard.until(lambda: "✅ Shipped" in text_of(yard.message(plan["id"])))
    status = await yard.station.conductor.status(RELEASE)
    assert status.progress and status.progress.state is RunState.FINISHED
    lines = yard.lines()
    assert lines[-1].startswith("🏁 Shipped")
    assert len(lines) == len(set(lines)) == 19
    assert [text.splitlines()[0] for text in yard.thread()][-1] == "# 🚀 r1 is in production"
    assert text_of(yard.channel()[-1]).startswith("# 🚀 r1 is in production")
    assert "20/20 steps done" in text_of(yard.boards()[0])
