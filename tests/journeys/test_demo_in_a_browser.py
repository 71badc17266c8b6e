"""A person plays the demo in a real browser: asks for the plan by keyboard, presses the one button, reads the seal."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

CHROMIUM = next((p for p in ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium") if Path(p).exists()), None)
SHIP_MS = 90_000

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium; install it: apt-get install chromium-headless-shell"
)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where the demo's page is, as the demo itself says it."""
    argv = [sys.executable, "-m", "bot", "demo", "--serve", "--state", str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as playing:
        assert playing.stdout
        said = ""
        for line in playing.stdout:
            said += line
            if found := re.search(r"waits for you: (\S+)", line):
                break
        else:
            raise AssertionError(said)
        try:
            yield found[1]
        finally:
            playing.send_signal(signal.SIGINT)
            playing.stdout.read()
        assert playing.wait() == 0


async def test_a_newcomer_ships_the_train_from_the_page(address: str) -> None:
    async with async_playwright() as browsers:
        browser = await browsers.chromium.launch(
            executable_path=CHROMIUM,
            args=["--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"],
        )
        page = await browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        await page.goto(address)
        await expect(page.get_by_text("Prepare of first-train: done").first).to_be_visible(timeout=SHIP_MS)

        await type_command(page, "/release ship")
        await page.get_by_role("button", name="Ship it").click(timeout=SHIP_MS)
        await page.get_by_role("button", name="Open thread: 🚂 ship").click(timeout=SHIP_MS)
        await expect(page.get_by_text("Production smoke seal: passed").first).to_be_visible(timeout=SHIP_MS)
        await expect(page.get_by_text("first-train is in production")).to_be_visible(timeout=SHIP_MS)

        await page.get_by_role("combobox", name="You are").select_option("stranger")
        await type_command(page, "/release abandon")
        await expect(page.get_by_text("only the operator role may abandon a release")).to_be_visible()
        assert problems == []
        await browser.close()


async def type_command(page: Page, command: str) -> None:
    """Choose the command from the suggestions and send it, by keyboard alone."""
    await page.keyboard.type(command)
    await expect(page.get_by_role("listbox", name="Suggestions").get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
