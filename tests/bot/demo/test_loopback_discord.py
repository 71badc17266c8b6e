"""The loopback Discord seen from both sides: by the real discord.py client and by people."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import discord
import pytest
from discord.http import Route

from bot.demo.discord import Limits, LoopbackDiscord, Misuse, Window, redirect_client
from tests.bot.demo.conftest import TIMEOUT, Bot, running_bot
from tests.world.waiting import until

PLAN = ["release", "plan"]
PERMISSIONS = 2252109051448320


def layout(words: str) -> discord.ui.LayoutView:
    """A components-v2 message with one of everything."""
    view = discord.ui.LayoutView(timeout=None)
    container = discord.ui.Container[discord.ui.LayoutView](accent_colour=0x3366FF)
    container.add_item(discord.ui.TextDisplay(words))
    container.add_item(discord.ui.Separator())
    container.add_item(discord.ui.File("attachment://ship.log"))
    container.add_item(discord.ui.ActionRow(discord.ui.Button[Any](label="More", custom_id="more")))
    return view.add_item(container)


def message_of(outcome: Any) -> dict[str, Any]:
    """The message an outcome shows; fails when there is none."""
    assert outcome["message"] is not None, outcome
    return outcome["message"]


async def test_a_whole_release_can_be_talked_through_without_breaking_discords_rules(
    loopback: LoopbackDiscord, bot: Bot
) -> None:
    olive = loopback.person("operator")
    assert [each["name"] for each in olive.commands()] == ["release"]
    plan = await olive.command(PLAN, {"train": "june", "count": 2})
    assert message_of(plan)["content"] == "plan of june x2"
    shipping = await olive.click(message_of(plan)["id"], "ship:june")
    assert (shipping["outcome"], message_of(shipping)["components"]) == ("updated", [])
    await olive.command(["release", "slow"])

    root = await bot.releases.fetch_message(int(message_of(plan)["id"]))
    thread = await root.create_thread(name="ship june", auto_archive_duration=1440)
    board = await thread.send(view=layout("# Board"), file=discord.File(io.BytesIO(b"log"), "ship.log"))
    await board.edit(view=layout("# Board, later"))
    await board.pin()
    embed = discord.Embed(title="Notes", description="what changed", colour=0x00FF00)
    notes = await thread.send("# Shipped", embed=embed)
    await notes.edit(content="# Shipped, sealed")
    assert (await thread.fetch_message(board.id)).pinned
    assert [each.content async for each in thread.history(after=board)] == ["# Shipped, sealed"]
    assert [each.name for each in await bot.tree.fetch_commands(guild=bot.releases.guild)] == ["release"]
    await bot.http.get_bot_gateway()
    assert (loopback.violations, loopback.answers, loopback.rate_limit_hits) == ([], [], [])


async def test_the_person_is_offered_completions_while_typing(loopback: LoopbackDiscord, bot: Bot) -> None:
    choices = await loopback.person("operator").autocomplete(PLAN, {"train": "ju"}, "train")
    assert [each["value"] for each in choices] == ["june-train", "july-train"]
    assert loopback.violations == []


@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        (["release"], {}, "no command"),
        (["release", "explode"], {}, "no command"),
        (PLAN, {}, "required"),
        (PLAN, {"train": 7}, "must be str"),
        (PLAN, {"train": "june", "count": 6}, "too large"),
        (PLAN, {"train": "june", "colour": "red"}, "no option"),
    ],
)
async def test_a_command_the_client_would_not_send_never_reaches_the_bot(
    loopback: LoopbackDiscord, bot: Bot, path: list[str], options: dict[str, object], reason: str
) -> None:
    with pytest.raises(Misuse, match=reason):
        await loopback.person("operator").command(path, options)


async def test_an_ephemeral_answer_is_seen_by_its_person_alone(loopback: LoopbackDiscord, bot: Bot) -> None:
    answer = message_of(await loopback.person("agent").command(["release", "status"]))
    assert answer["flags"] & 64
    assert [each["id"] for each in loopback.person("agent").messages()] == [answer["id"]]
    assert loopback.person("operator").messages() == []
    assert [each async for each in bot.releases.history()] == []


async def test_a_deferred_answer_is_filled_by_the_first_follow_up_and_can_be_edited(
    loopback: LoopbackDiscord, bot: Bot
) -> None:
    outcome = await loopback.person("operator").command(["release", "slow"])
    assert outcome["outcome"] == "deferred"
    await shows(loopback, ["read it all, twice", "and more"])


async def test_a_form_can_be_filled_in(loopback: LoopbackDiscord, bot: Bot) -> None:
    ada = loopback.person("agent")
    modal = (await ada.command(["release", "note"]))["modal"]
    assert modal is not None and modal["title"] == "Handoff"
    with pytest.raises(Misuse, match="not open"):
        await loopback.person("operator").submit_modal(modal["id"], {"note": "mine now"})
    for wrong in ({"note": " "}, {"note": "ab"}, {"note": "x" * 21}, {"note": "abc", "stage": "review"}):
        with pytest.raises(Misuse):
            await ada.submit_modal(modal["id"], wrong)
    assert message_of(await ada.submit_modal(modal["id"], {"note": "over to you"}))["content"] == "over to you/"
    with pytest.raises(Misuse, match="not open"):
        await ada.submit_modal(modal["id"], {"note": "and again"})
    assert loopback.violations == []


@pytest.mark.parametrize(
    ("title", "labels", "word"),
    [
        ("x" * 46, [{"text": "Note"}], "45"),
        ("Note", [{"text": "x" * 46}], "45"),
        ("Note", [{"text": "Note", "description": "x" * 101}], "100"),
        ("Note", [{"text": "Note", "max_length": 4001}], "4000"),
        ("Note", [{"text": "Note", "default": "x" * 4001}], "value"),
        ("Note", [{"text": "Note", "placeholder": "x" * 101}], "100"),
        ("Note", [{"text": "Note", "custom_id": "twice"}] * 2, "duplicated"),
        ("Note", [], "1 item"),
    ],
)
async def test_a_form_real_discord_refuses_is_refused_here(
    loopback: LoopbackDiscord, bot: Bot, title: str, labels: list[dict[str, Any]], word: str
) -> None:
    bot.form = discord.ui.Modal(title=title, custom_id="form")
    for label in labels:
        of_label = {key: label[key] for key in ("text", "description") if key in label}
        of_input = {key: value for key, value in label.items() if key not in of_label}
        item: discord.ui.TextInput[discord.ui.LayoutView] = discord.ui.TextInput(**of_input)
        bot.form.add_item(discord.ui.Label(component=item, **of_label))
    asking = asyncio.create_task(loopback.person("agent").command(["release", "note"]))
    await until(lambda: bool(loopback.violations))
    assert word in loopback.violations[0]
    asking.cancel()


async def test_of_two_clicks_at_once_one_ships_and_one_is_told_so(loopback: LoopbackDiscord, bot: Bot) -> None:
    plan = message_of(await loopback.person("operator").command(PLAN, {"train": "may"}))
    people = [loopback.person(key) for key in ("operator", "second")]
    outcomes = await asyncio.gather(*(each.click(plan["id"], "ship:may") for each in people))
    assert sorted(each["outcome"] for each in outcomes) == ["message", "updated"]


async def test_an_answer_after_three_seconds_fails_for_the_person_and_for_the_bot(tmp_path: Path) -> None:
    async with LoopbackDiscord(ack_seconds=0.05) as loopback, running_bot(loopback) as bot:
        outcome = await loopback.person("operator").command(["release", "late"])
        assert (outcome["outcome"], outcome["error"]) == ("failed", "The application did not respond")
        bot.let_go.set()
        await until(lambda: len(bot.failures) == 1)
        assert isinstance(bot.failures[0], discord.NotFound) and bot.failures[0].code == 10062


async def test_a_second_answer_and_an_answer_after_fifteen_minutes_are_refused() -> None:
    async with (
        LoopbackDiscord(token_seconds=0.1, limits=Limits(table={"webhook": Window(999, 1.0)})) as loopback,
        running_bot(loopback) as bot,
    ):
        kept: list[discord.Interaction] = []
        bot.on_interaction = lambda interaction: _keep(kept, interaction)  # type: ignore[method-assign]
        await loopback.person("operator").command(["release", "status"])
        kept[0].response._response_type = None  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(discord.HTTPException) as twice:
            await kept[0].response.send_message("again")
        assert twice.value.code == 40060
        with pytest.raises(discord.HTTPException) as dead:
            async with asyncio.timeout(TIMEOUT):
                while True:
                    await kept[0].edit_original_response(content="still there?")
        assert (dead.value.status, dead.value.code) == (401, 50027)


async def test_a_thread_has_its_messages_id_and_cannot_be_made_twice(loopback: LoopbackDiscord, bot: Bot) -> None:
    root = await bot.releases.send("root")
    thread = await root.create_thread(name="ship")
    assert thread.id == root.id
    with pytest.raises(discord.HTTPException) as again:
        await root.create_thread(name="ship")
    assert again.value.code == 160004
    said = await thread.send("in it")
    route = Route("POST", f"/channels/{thread.id}/messages/{said.id}/threads")
    with pytest.raises(discord.HTTPException) as within:
        await bot.http.request(route, json={"name": "a thread in a thread"})
    assert (within.value.status, within.value.code) == (400, 50024)
    state = loopback.person("operator").state()
    assert state["channels"][0]["threads"] == [{"id": str(root.id), "name": "ship", "archived": False}]


async def test_sending_the_same_nonce_again_makes_no_second_message(loopback: LoopbackDiscord, bot: Bot) -> None:
    loopback.script_fault("POST", r"/messages$", 503, after=True)
    with pytest.raises(discord.DiscordServerError):
        await bot.releases.send("sealed", nonce="seal")
    again = await bot.releases.send("sealed", nonce="seal")
    assert [each["id"] for each in loopback.person("operator").messages()] == [str(again.id)]


async def test_too_many_calls_are_answered_429_and_the_client_comes_back() -> None:
    limits = Limits(table={"send": Window(2, 0.15), "thread": Window(1, 600.0)})
    async with LoopbackDiscord(limits=limits) as loopback, running_bot(loopback) as bot:
        await bot.releases.send("1")
        async with aiohttp.ClientSession(headers={"Authorization": f"Bot {loopback.token}"}) as other:
            url = f"{loopback.base_url}/api/v10/channels/{loopback.channel_id}/messages"
            await other.post(url, json={"content": "2"})  # the client does not know that this call used up the bucket
        await bot.releases.send("3")
        assert [hit.kind for hit in loopback.rate_limit_hits] == ["send"]
        assert [each["content"] for each in loopback.person("operator").messages()] == ["1", "2", "3"]
        bot.http.max_ratelimit_timeout = 30.0
        root = await bot.releases.fetch_message(int(loopback.person("operator").messages()[0]["id"]))
        await root.create_thread(name="one")
        with pytest.raises(discord.RateLimited) as slowed:
            await root.create_thread(name="another")
        assert slowed.value.retry_after > 500


@pytest.mark.parametrize(("missing", "code"), [(1 << 11, 50013), (1 << 10, 50001)])
async def test_a_missing_permission_is_named_by_its_code(
    loopback: LoopbackDiscord, bot: Bot, missing: int, code: int
) -> None:
    assert bot.releases.permissions_for(bot.releases.guild.me).value & PERMISSIONS == PERMISSIONS
    loopback.guild.set_bot_permissions(str(loopback.channel_id), PERMISSIONS & ~missing)
    with pytest.raises(discord.Forbidden) as refused:
        await bot.releases.send("hello?")
    assert refused.value.code == code
    await until(lambda: not bot.releases.permissions_for(bot.releases.guild.me).value & missing)


async def test_what_happened_while_the_socket_was_gone_is_replayed(loopback: LoopbackDiscord, bot: Bot) -> None:
    await loopback.drop_gateway(4000)
    outcome = await loopback.person("operator").command(["release", "status"])
    assert outcome["outcome"] == "message"
    assert await bot.seen.get() == f"interaction {outcome['interaction']}"  # replayed before
    assert await bot.seen.get() == "resumed"


async def test_what_people_do_to_a_thread_reaches_the_bot(loopback: LoopbackDiscord, bot: Bot) -> None:
    thread = await (await bot.releases.send("root")).create_thread(name="ship")
    note, known = await thread.send("note"), bot.releases.guild.get_thread
    loopback.guild.set_archived(str(thread.id), True)
    await until(lambda: known(thread.id) is None)
    with pytest.raises(discord.HTTPException) as archived:
        await note.edit(content="still here?")
    assert archived.value.code == 50083
    await thread.send("out again")
    await until(lambda: known(thread.id) is not None)
    loopback.guild.remove_thread(str(thread.id))
    await until(lambda: known(thread.id) is None)
    with pytest.raises(discord.NotFound) as gone:
        await thread.send("anybody?")
    assert gone.value.code == 10003


async def test_a_forgotten_session_makes_the_bot_start_anew(loopback: LoopbackDiscord, bot: Bot) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{loopback.base_url}/gateway") as socket:
            assert (await socket.receive_json())["op"] == 10
            await socket.send_json({"op": 6, "d": {"token": loopback.token, "session_id": "gone", "seq": 3}})
            assert await socket.receive_json() == {"op": 9, "d": False, "s": None, "t": None}
        async with session.ws_connect(f"{loopback.base_url}/gateway") as socket:
            await socket.receive_json()
            await socket.send_json({"op": 2, "d": {"token": loopback.token, "intents": 1 << 15 | 1}})
            assert (await socket.receive()).data == 4014


async def test_an_old_message_can_be_edited_less_often() -> None:
    limits = Limits(old_message_seconds=0.0)
    async with LoopbackDiscord(limits=limits) as loopback, running_bot(loopback) as bot:
        bot.http.max_ratelimit_timeout = 10.0
        message = await bot.releases.send("old")
        for number in range(3):
            await message.edit(content=str(number))
        with pytest.raises(discord.RateLimited):
            await message.edit(content="once more")
        assert [hit.kind for hit in loopback.rate_limit_hits] == ["old edit"]


async def test_a_refused_gateway_lets_the_person_down_but_not_rest(bot: Bot, loopback: LoopbackDiscord) -> None:
    await loopback.outage(gateway=True)
    await bot.releases.send("still talking")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{loopback.base_url}/gateway")


async def test_a_killed_discord_remembers_everything_it_answered(
    tmp_path: Path, bot: Bot, loopback: LoopbackDiscord
) -> None:
    root = await bot.releases.send("root", file=discord.File(io.BytesIO(b"the log"), "ship.log"))
    thread = await root.create_thread(name="ship")
    note = await thread.send("in the thread")
    await note.pin()
    loopback.guild.set_archived(str(thread.id), True)
    loopback.guild.remove_message(str((await bot.releases.send("gone")).id))
    with (tmp_path / "discord" / "discord.jsonl").open("a") as journal:
        journal.write('["messages", "17", {"torn')
    async with LoopbackDiscord(state_dir=tmp_path / "discord") as reborn, running_bot(reborn, sync=False) as again:
        found = [each async for each in again.releases.history()]
        assert [each.content for each in found] == ["root"]
        assert await found[0].attachments[0].read() == b"the log"
        pinned = reborn.person("operator").messages(thread.id)[0]
        assert (pinned["content"], pinned["pinned"]) == ("in the thread", True)
        assert reborn.person("operator").commands() == loopback.person("operator").commands()
        assert (await reborn.person("operator").command(["release", "status"]))["outcome"] == "message"
        assert found[0].thread is not None and found[0].thread.archived
        await again.releases.send("said after the torn line")
    async with LoopbackDiscord(state_dir=tmp_path / "discord") as third:
        said = [each["content"] for each in third.person("operator").messages()]
        assert said == ["root", "said after the torn line"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"content": "x", "embed": {"title": "typo"}}, "embed"),
        ({"content": "x" * 2001}, "2000"),
        (
            {"components": [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x" * 81, "custom_id": "a"}]}]},
            "80",
        ),
        (
            {"components": [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "a"}] * 2}]},
            "dup",
        ),
        ({"components": [{"type": 10, "content": "v2 without its flag"}]}, "action rows"),
        ({"flags": 1 << 15, "content": "x", "components": [{"type": 10, "content": "y"}]}, "content and embeds"),
        ({"flags": 1 << 15, "components": [{"type": 10, "content": "y" * 801}] * 5}, "4000"),
        (
            {"flags": 1 << 15, "components": [{"type": 17, "components": [{"type": 10, "content": "y"}] * 40}]},
            "40 or fewer",
        ),
        ({"embeds": [{"description": "x" * 3001}] * 2}, "6000"),
        ({"embeds": [{"image": {"url": "https://example.com/a.png"}}]}, "does not show image"),
        ({"flags": 1 << 15, "components": [{"type": 13, "file": {"url": "attachment://no.log"}}]}, "no such attach"),
        ({"flags": 1 << 15, "components": [{"type": 12, "items": [{"media": {"url": "x://y"}}]}]}, "of type {12}"),
        ({"content": ""}, "empty message"),
    ],
)
async def test_a_payload_real_discord_refuses_is_refused_here(
    loopback: LoopbackDiscord, bot: Bot, body: dict[str, Any], word: str
) -> None:
    route = Route("POST", "/channels/{channel_id}/messages", channel_id=loopback.channel_id)
    with pytest.raises(discord.HTTPException) as refused:
        await bot.http.request(route, json=body)
    assert refused.value.status == 400 and refused.value.code in (50035, 50006)
    assert any(word in violation for violation in loopback.violations), loopback.violations
    assert loopback.person("operator").messages() == []


@pytest.mark.parametrize(
    ("text", "allowed", "pinged"),
    [
        ("<@{operator}> @everyone", discord.AllowedMentions.all(), ["Olive"]),
        ("<@{operator}> <@&{role}> @everyone", discord.AllowedMentions.none(), []),
        ("<@{operator}> <@&{role}>", discord.AllowedMentions(users=False, roles=True, everyone=False), ["@operator"]),
    ],
)
async def test_only_those_are_pinged_who_are_allowed_to_be(
    loopback: LoopbackDiscord, bot: Bot, text: str, allowed: discord.AllowedMentions, pinged: list[str]
) -> None:
    words = text.format(operator=loopback.person("operator").id, role=loopback.role_ids["operator"])
    await bot.releases.send(words, allowed_mentions=allowed)
    message = loopback.person("operator").messages()[-1]
    roles = [f"@{name}" for name, role in loopback.role_ids.items() if str(role) in message["mention_roles"]]
    assert [user["global_name"] for user in message["mentions"]] + roles == pinged
    assert not message["mention_everyone"]


async def test_people_can_do_everything_over_http_and_hear_of_it(loopback: LoopbackDiscord, bot: Bot) -> None:
    async with aiohttp.ClientSession(loopback.base_url + "/") as page:
        stream = await page.get("people/events", params={"person": "operator"})
        await stream.content.readuntil(b"\n\n")

        async def post(what: str, **body: object) -> dict[str, Any]:
            async with page.post(f"people/{what}", json={"person": "operator", **body}) as answer:
                assert answer.status == 200, await answer.text()
                return await answer.json()

        await loopback.person("agent").command(["release", "status"])  # ephemeral: not for the operator's ears
        here = {"channel": str(loopback.channel_id), "path": PLAN}
        choices = (await post("autocomplete", **here, options={"train": "june"}, focused="train"))["choices"]
        assert choices == [{"name": "june-train", "value": "june-train"}]
        plan = message_of(await post("command", **here, options={"train": "june"}))
        assert (await post("click", message=plan["id"], custom_id="ship:june"))["outcome"] == "updated"
        heard = [await stream.content.readuntil(b"\n\n") for _ in range(2)]
        assert [json.loads(each.split(b"data: ")[1])["content"] for each in heard] == [
            "plan of june x1",
            "shipping june",
        ]
        async with page.get(f"people/channels/{loopback.channel_id}/messages?person=stranger") as answer:
            assert [each["content"] for each in await answer.json()] == ["shipping june"]
        async with page.post("people/command", json={"person": "operator", **here, "options": {}}) as answer:
            assert (answer.status, await answer.text()) == (400, "train is required.")
        stream.close()


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}])
async def test_a_foreign_web_page_cannot_press_buttons(loopback: LoopbackDiscord, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as page:
        body = {"person": "operator", "message": "1", "custom_id": "x"}
        async with page.post(f"{loopback.base_url}/people/click", json=body, headers=headers) as answer:
            assert answer.status == 403


async def test_only_the_right_token_logs_in(loopback: LoopbackDiscord) -> None:
    redirect_client(loopback.base_url)
    async with Bot(loopback, sync=False) as bot:
        with pytest.raises(discord.LoginFailure):
            await bot.login("somebody-elses")


async def test_an_outage_of_rest_is_an_error_503_and_ends(loopback: LoopbackDiscord, bot: Bot) -> None:
    await loopback.outage(rest=True)
    with pytest.raises(discord.DiscordServerError):
        await bot.releases.send("anybody?")
    await loopback.outage(rest=False)
    await bot.releases.send("back")


async def test_the_transcript_tells_who_said_what_where(tmp_path: Path) -> None:
    told: list[tuple[str, Any]] = []
    discord_heard = LoopbackDiscord(record=lambda kind, payload: told.append((kind, payload)))
    async with discord_heard as loopback, running_bot(loopback) as bot:
        await loopback.person("agent").command(["release", "status"])
        root = await bot.releases.send("root")
        thread = await root.create_thread(name="ship")
        await thread.send(view=layout("# Board"), file=discord.File(io.BytesIO(b"log"), "ship.log"))
        loopback.guild.remove_thread(str(thread.id))
    kinds = [kind for kind, _ in told]
    assert kinds[:3] == ["discord.interaction", "discord.message", "discord.ack"]
    what = {"person": "Ada", "how": "command", "what": "/release status"}
    assert told[0][1] == {"channel": "releases", "thread": None, "interaction": told[0][1]["interaction"], **what}
    board = next(payload for kind, payload in told if kind == "discord.message" and payload["thread"] == "ship")
    assert board["text"] == "# Board\n[More]"
    assert [(each["filename"], each["size"]) for each in board["attachments"]] == [("ship.log", 3)]
    json.dumps(told)


def test_the_client_is_never_sent_to_a_foreign_host() -> None:
    for url in ("http://discord.example", "http://10.0.0.1:80", "http://localhost.evil.example"):
        with pytest.raises(ValueError, match="loopback"):
            redirect_client(url)


async def shows(loopback: LoopbackDiscord, contents: list[str]) -> None:
    """Wait until the operator sees exactly these messages in the main channel."""
    await until(lambda: [each["content"] for each in loopback.person("operator").messages()] == contents)


async def _keep(kept: list[discord.Interaction], interaction: discord.Interaction) -> None:
    kept.append(interaction)
