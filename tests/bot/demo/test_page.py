"""The people's page, driven in a real Chromium against the real loopback Discord and a small real discord.py bot."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import discord
import pytest
import pytest_asyncio
from discord import app_commands
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

import bot.demo
from bot.client import Sockets
from bot.demo.discord import LoopbackDiscord, redirect_client

PAGE_DIR = Path(bot.demo.__file__).parent / "page"
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
FLAGS = [
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
RELEASES = ["2026-06-26-smoke-seal", "2026-06-20-turf", "2026-06-01-first"]
HOSTILE = (
    '<img src=x onerror="window.pwned=1"> <script>window.pwned=1</script> [safe](https://example.com/ok) '
    "[evil](javascript:window.pwned=1) <javascript:window.pwned=1> **never closed "
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; install it: apt-get install chromium-headless-shell"),
]


class ShipView(discord.ui.LayoutView):
    """A plan with a button that opens a thread and one that never answers."""

    def __init__(self, release: str) -> None:
        super().__init__(timeout=None)
        ship: discord.ui.Button[ShipView] = discord.ui.Button(label="Ship it", style=discord.ButtonStyle.danger)
        ship.callback = self.ship
        mute: discord.ui.Button[ShipView] = discord.ui.Button(label="Say nothing")
        mute.callback = self.say_nothing
        self.release = release
        row: discord.ui.ActionRow[ShipView] = discord.ui.ActionRow(ship, mute)
        self.add_item(discord.ui.Container(discord.ui.TextDisplay(f"## Ship plan · {release}"), row))

    async def ship(self, interaction: discord.Interaction) -> None:
        done = discord.ui.LayoutView(timeout=None)
        done.add_item(discord.ui.TextDisplay(f"Confirmed by {interaction.user.mention}"))
        await interaction.response.edit_message(view=done, allowed_mentions=discord.AllowedMentions.none())
        assert interaction.message
        thread = await interaction.message.create_thread(name=f"ship {self.release}")
        await thread.send("Board: 1/5", file=discord.File(BytesIO(b"first line\nlast line\n"), "ship.log"))

    async def say_nothing(self, interaction: discord.Interaction) -> None:
        """The failure under test: no answer within the deadline."""


class NoteModal(discord.ui.Modal, title="Hand off"):
    """A short text and a long one."""

    note: discord.ui.Label[NoteModal] = discord.ui.Label(
        text="Note", component=discord.ui.TextInput(custom_id="note", max_length=15)
    )
    checks: discord.ui.Label[NoteModal] = discord.ui.Label(
        text="Checks",
        description="one a line",
        component=discord.ui.TextInput(custom_id="checks", style=discord.TextStyle.paragraph, required=False),
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        assert isinstance(self.note.component, discord.ui.TextInput)
        assert isinstance(self.checks.component, discord.ui.TextInput)
        if self.note.component.value != "say nothing":  # the failure under test
            lines = self.checks.component.value.splitlines()
            await interaction.response.send_message(f"Noted {self.note.component.value} with {lines}")


class YardBot(discord.Client):
    """Commands in the shapes that the product uses."""

    def __init__(self, guild_id: int) -> None:
        super().__init__(intents=discord.Intents(guilds=True), guild_ready_timeout=0.02)
        self.tree, self.guild = app_commands.CommandTree(self), discord.Object(guild_id)
        self.asked_slowly, self.let_go = asyncio.Event(), asyncio.Event()
        group = app_commands.Group(name="release", description="Ship releases")
        self.tree.add_command(group, guild=self.guild)

        @group.command(description="Show the plan")
        @app_commands.describe(release="Which release", depth="How deep to look")
        async def plan(interaction: discord.Interaction, release: str, depth: int = 1) -> None:
            await interaction.response.send_message(view=ShipView(release))

        @plan.autocomplete("release")
        async def suggest(_: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
            if typed == "2026":
                self.asked_slowly.set()
                await self.let_go.wait()
            return [app_commands.Choice(name=f"Release {one}", value=one) for one in RELEASES if typed in one]

        @self.tree.command(guild=self.guild, description="Answer only the one who asks")
        async def whisper(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("a secret word", ephemeral=True)

        @self.tree.command(guild=self.guild, description="Hand a task to somebody")
        async def handoff(interaction: discord.Interaction) -> None:
            await interaction.response.send_modal(NoteModal())

        @self.tree.command(guild=self.guild, description="Make a task")
        async def make(
            interaction: discord.Interaction,
            a: str,
            b: str = "",
            c: str = "",
            d: str = "",
            e: str = "",
            f: str = "",
            g: str = "",
            h: str = "",
            i: str = "",
            j: str = "",
        ) -> None:
            """Nobody sends it."""

    async def setup_hook(self) -> None:
        await self.tree.sync(guild=self.guild)


@dataclass
class Yard:
    """One Discord, one bot in it, and the browser pages looking at it."""

    server: LoopbackDiscord
    bot: YardBot
    browser: Browser
    complaints: list[str] = field(default_factory=list[str])

    async def look(self, person: str = "operator", width: int = 1000) -> Page:
        """A fresh page as this person, loaded."""
        page = await self.browser.new_page(viewport={"width": width, "height": 700}, reduced_motion="reduce")
        page.set_default_timeout(5000)
        page.on("console", lambda line: self.complaints.append(line.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(f"{self.server.base_url}/#{person}")
        await expect(page.get_by_role("log")).to_have_attribute("aria-live", "polite")
        return page

    async def say(self, text: str) -> discord.Message:
        """The bot posts into the main channel."""
        channel = self.bot.get_channel(self.server.channel_id)
        assert isinstance(channel, discord.TextChannel)
        return await channel.send(text)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def yard(browser: Browser, tmp_path: Path) -> AsyncIterator[Yard]:
    discord_at = LoopbackDiscord(page_dir=PAGE_DIR, state_dir=tmp_path, ack_seconds=0.5)
    async with discord_at as server, online(server) as client:
        yard = Yard(server, client, browser)
        yield yard
        for context in browser.contexts:
            await context.close()
        assert yard.complaints == []
        assert server.answers == []


@asynccontextmanager
async def online(server: LoopbackDiscord) -> AsyncGenerator[YardBot]:
    redirect_client(server.base_url)
    client = YardBot(server.guild_id)
    sockets = Sockets(client)
    async with client:
        running = asyncio.create_task(client.start(server.token))
        await asyncio.wait_for(client.wait_until_ready(), 5)
        yield client
    running.cancel()  # it may be waiting for its next try to connect
    await asyncio.gather(running, return_exceptions=True)
    await sockets.end()


def last_message(page: Page) -> Locator:
    return page.get_by_role("article").last


async def run(page: Page, command: str) -> None:
    """Type a whole command without options and send it."""
    await page.get_by_role("combobox", name="Slash command").fill(f"{command} ")
    await page.keyboard.press("Enter")


async def test_a_slash_typed_anywhere_begins_a_command(yard: Yard) -> None:
    page = await yard.look()
    await page.keyboard.type("/pla")
    await expect(page.get_by_role("combobox", name="Slash command")).to_have_value("/pla")


async def test_a_command_can_be_given_by_keyboard_alone(yard: Yard) -> None:
    page = await yard.look()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the command line")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.type("/")
    suggestions = page.get_by_role("listbox", name="Suggestions").get_by_role("option")
    await expect(suggestions).to_have_count(4)
    await page.keyboard.type("pla")
    await page.keyboard.press("Enter")
    release = page.get_by_role("combobox", name="release required")
    await expect(release).to_be_focused()
    await expect(page.locator("#hint")).to_have_text("release — Which release")
    yard.bot.let_go.set()
    await page.keyboard.type("2026")
    await expect(suggestions).to_have_text([f"Release {one}" for one in RELEASES])
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Tab")
    await expect(release).to_have_value(f"Release {RELEASES[1]}")
    await expect(page.get_by_role("combobox", name="depth optional")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name=f"Ship plan · {RELEASES[1]}")).to_be_visible()
    await expect(page.get_by_role("combobox", name="Slash command")).to_be_focused()


async def test_a_wrong_option_is_explained_beside_the_command(yard: Yard) -> None:
    page = await yard.look()
    await run(page, "/release plan")
    await expect(page.locator("#answer")).to_have_text("release is required.")
    await page.keyboard.type(RELEASES[0])
    await page.get_by_role("combobox", name="depth optional").fill("deep")
    await page.keyboard.press("Enter")
    await expect(page.locator("#answer")).to_have_text("depth must be a whole number.")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("combobox", name="Slash command")).to_have_value("/release plan")


async def test_suggestions_for_what_was_typed_before_are_dropped(yard: Yard) -> None:
    page = await yard.look()
    await run(page, "/release plan")
    async with page.expect_response(lambda answer: '"2026"' in (answer.request.post_data or "")):
        await page.keyboard.type("2026")
        await asyncio.wait_for(yard.bot.asked_slowly.wait(), 5)
        await page.keyboard.type("-06-20")
        suggestions = page.get_by_role("listbox", name="Suggestions").get_by_role("option")
        await expect(suggestions).to_have_text([f"Release {RELEASES[1]}"])
        yard.bot.let_go.set()
    await expect(suggestions).to_have_text([f"Release {RELEASES[1]}"])


async def test_a_confirmed_plan_leads_to_a_thread_with_a_readable_log(yard: Yard) -> None:
    page = await yard.look()
    await run(page, "/release plan")
    await page.keyboard.type(RELEASES[0])
    await page.get_by_role("button", name="Send").click()
    await page.get_by_role("button", name="Ship it").click()
    await expect(last_message(page)).to_contain_text("Confirmed by @Olive")
    await expect(page.get_by_role("button", name="Ship it")).to_have_count(0)
    await page.get_by_role("button", name=f"Open thread: ship {RELEASES[0]}").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"ship {RELEASES[0]} (thread in #releases)")
    await expect(last_message(page)).to_contain_text("Board: 1/5")
    await page.get_by_text("Show ship.log here").click()
    await expect(page.locator("details pre")).to_have_text("first line\nlast line\n")


async def test_a_click_that_the_bot_ignores_says_so_and_can_be_tried_again(yard: Yard) -> None:
    page = await yard.look()
    await run(page, "/release plan")
    await page.keyboard.type(RELEASES[0])
    await page.get_by_role("button", name="Send").click()
    mute = page.get_by_role("button", name="Say nothing")
    await mute.click()
    await expect(mute).to_be_disabled()
    await expect(mute).to_have_attribute("aria-busy", "true")
    await expect(last_message(page).get_by_role("alert")).to_have_text("The application did not respond")
    await expect(mute).to_be_enabled()


async def test_what_only_one_may_see_stays_unseen_by_the_others(yard: Yard) -> None:
    mine, theirs = await yard.look("operator"), await yard.look("stranger")
    await run(mine, "/whisper")
    await expect(last_message(mine)).to_contain_text("a secret word")
    await expect(last_message(mine)).to_contain_text("Only you can see this")
    await yard.say("for everybody")
    await expect(last_message(theirs)).to_contain_text("for everybody")
    await expect(theirs.get_by_text("a secret word")).to_have_count(0)
    await mine.get_by_label("You are").select_option(label="Sam (no role)")
    await expect(last_message(mine)).to_contain_text("for everybody")
    await expect(mine.get_by_text("a secret word")).to_have_count(0)
    await mine.get_by_label("You are").select_option(label="Olive (operator)")
    await mine.get_by_role("button", name="Dismiss message").click()
    await expect(mine.get_by_text("a secret word")).to_have_count(0)


async def test_a_form_is_filled_and_answered_by_keyboard_alone(yard: Yard) -> None:
    page = await yard.look()
    await run(page, "/handoff")
    dialog = page.get_by_role("dialog", name="Hand off")
    await expect(dialog.get_by_label("Note")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_label("Note")).to_be_focused()  # it is required
    await page.keyboard.type("mind the gap and the rest is cut")
    await page.keyboard.press("Tab")
    await expect(dialog.get_by_label("Checks")).to_have_accessible_description("one a line")
    await page.keyboard.type("unit")
    await page.keyboard.press("Enter")
    await page.keyboard.type("e2e")
    for _ in ("Cancel", "Submit"):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(last_message(page)).to_contain_text("Noted mind the gap an with ['unit', 'e2e']")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("combobox", name="Slash command")).to_be_focused()


async def test_a_form_that_the_bot_ignores_keeps_what_was_typed(yard: Yard) -> None:
    page = await yard.look()
    await run(page, "/handoff")
    dialog = page.get_by_role("dialog", name="Hand off")
    await expect(dialog.get_by_label("Note required")).to_be_focused()
    await page.keyboard.type("say nothing")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("alert")).to_have_text("The application did not respond")
    await expect(dialog.get_by_label("Note")).to_have_value("say nothing")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("combobox", name="Slash command")).to_be_focused()


async def test_hostile_text_is_only_text(yard: Yard) -> None:
    page = await yard.look(width=400)
    await yard.say(HOSTILE)
    message = last_message(page)
    await expect(message).to_contain_text('<img src=x onerror="window.pwned=1">')
    await expect(message).to_contain_text("[evil](javascript:window.pwned=1)")
    links = message.get_by_role("link")
    await expect(links).to_have_text(["safe"])
    await expect(links).to_have_attribute("rel", "noopener noreferrer")
    await expect(message.locator("img, script")).to_have_count(0)
    assert await page.evaluate("window.pwned") is None


async def test_five_thousand_nasty_characters_are_drawn_at_once(yard: Yard) -> None:
    page = await yard.look()
    for nasty in ("*" * 5000, "[" * 5000, "> " * 2500, "**a _b " * 700, "`" * 5000, "- " * 2500, "x" * 5000):
        took = await page.evaluate(
            """async (text) => {
                 const { markdown } = await import("/markdown.js");
                 const begin = performance.now();
                 document.createElement("div").append(...markdown(text, {}));
                 return performance.now() - begin;
               }""",
            nasty,
        )
        assert took < 500, nasty[:10]
    await yard.say("x" * 2000)
    await expect(last_message(page)).to_contain_text("x" * 2000)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_discord_markdown_becomes_what_discord_shows(yard: Yard) -> None:
    page = await yard.look()
    operator = yard.server.person("operator").id
    text = "# Big\n-# small\n> quoted\n- one\n  - two\n3. three\n"
    text += f"**b** *i* _j_ `c*d*` snake_case_name a\\_b\\* <@{operator}> <t:0:R>"
    html = await page.evaluate(
        """async (text) => {
             const { markdown } = await import("/markdown.js");
             const names = { user: () => "Olive" };
             const div = document.createElement("div");
             div.append(...markdown(text, names));
             div.querySelector("time").remove();
             return div.innerHTML;
           }""",
        text,
    )
    assert html == (
        '<h2>Big</h2><p class="subtext">small</p><blockquote><p>quoted</p></blockquote>'
        '<div><ul><li>one<ul><li>two</li></ul></li></ul><ol start="3"><li>three</li></ol></div>'
        "<p><strong>b</strong> <em>i</em> <em>j</em> <code>c*d*</code> "
        'snake_case_name a_b* <span class="mention">@Olive</span> </p>'
    )


async def test_reading_old_messages_is_not_disturbed_by_new_ones(yard: Yard) -> None:
    posted = [await yard.say(f"# message {number}\n" + "a line\n" * 30) for number in range(2)]
    page = await yard.look()
    log = page.get_by_role("log")
    reading = page.get_by_role("heading", name="message 1")
    await expect(reading).not_to_be_in_viewport()
    await log.evaluate("log => { log.scrollTop = 650 }")
    await expect(reading).to_be_in_viewport()
    before = await reading.bounding_box()
    await posted[0].edit(content="# message 0\n" + "a line\n" * 40)
    await yard.say("the newest")
    await expect(page.get_by_text("the newest")).to_have_count(1)
    await expect(page.get_by_text("the newest")).not_to_be_in_viewport()
    after = await reading.bounding_box()
    assert before and after and abs(before["y"] - after["y"]) < 1
    await log.evaluate("log => { log.scrollTop = log.scrollHeight }")
    await expect(page.get_by_text("the newest")).to_be_in_viewport()
    await yard.say("the very last")
    await expect(page.get_by_text("the very last")).to_be_in_viewport()


async def test_a_lost_connection_is_told_and_what_was_missed_is_caught_up(yard: Yard, tmp_path: Path) -> None:
    page = await yard.look()
    await yard.server.stop()
    await expect(page.get_by_text("Connection lost")).to_be_visible()
    port = int(yard.server.base_url.rpartition(":")[2])
    async with LoopbackDiscord(page_dir=PAGE_DIR, state_dir=tmp_path, port=port):
        await yard.say("said meanwhile")
        await expect(page.get_by_text("said meanwhile")).to_be_visible()
        await expect(page.get_by_text("Connection lost")).to_have_count(0)
    yard.complaints.clear()  # the browser itself logs the broken connection


async def test_a_narrow_window_keeps_the_channels_behind_a_button(yard: Yard) -> None:
    page = await yard.look(width=400)
    channels = page.get_by_role("navigation", name="Channels and threads")
    await expect(channels).to_be_hidden()
    await page.get_by_role("button", name="Channels").click()
    await channels.get_by_role("button", name="elsewhere").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("# elsewhere")
    await expect(channels).to_be_hidden()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_a_command_with_many_options_leaves_hint_and_complaint_in_sight_of_a_phone(yard: Yard) -> None:
    page = await yard.look(width=390)
    await run(page, "/make")
    await expect(page.locator("#answer")).to_have_text("a is required.")
    for name in "bcdefghij":
        await page.keyboard.press("Tab")
        await expect(page.locator(f"#option-{name}")).to_be_in_viewport()
        await expect(page.locator("#hint")).to_be_in_viewport()
        await expect(page.locator("#answer")).to_be_in_viewport()
    assert await page.evaluate("document.body.scrollTop") == 0
