"""People: what they see and do in the loopback Discord, as coroutines for tests and over HTTP for the demo's page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypedDict

from aiohttp import web

from bot.demo.discord.forms import Misuse, command_data, modal_answers
from bot.demo.discord.guild import Guild, Someone
from bot.demo.discord.interactions import AUTOCOMPLETE, CLICK, COMMAND, Interaction, Interactions
from bot.demo.discord.messages import walk
from bot.demo.discord.protocol import THREAD, Payload

_EVENTS = {
    "MESSAGE_CREATE": "message",
    "MESSAGE_UPDATE": "edit",
    "MESSAGE_DELETE": "delete",
    "THREAD_CREATE": "thread",
    "THREAD_UPDATE": "thread",
    "THREAD_DELETE": "thread",
    "commands": "commands",
}
_OUTCOMES = {4: "message", 5: "deferred", 6: "deferred", 7: "updated", 9: "modal"}


class Outcome(TypedDict):
    """What a person sees happen: outcome is message, deferred, updated, modal or failed; error only with failed."""

    outcome: str
    interaction: str
    message: Payload | None
    modal: Payload | None
    error: str | None


class Person:
    """Somebody in front of a Discord client. What the client would not let them do raises Misuse."""

    def __init__(self, guild: Guild, interactions: Interactions, who: Someone) -> None:
        self._guild, self._interactions = guild, interactions
        self.id, self.key, self.name = int(who.id), who.key, who.name
        self._id = who.id

    async def command(
        self, path: Sequence[str], options: Mapping[str, Any] | None = None, *, channel: int | str | None = None
    ) -> Outcome:
        """Run a slash command, for example ["release", "ship"], in a channel or thread (default: the first channel)."""
        data = command_data(self.commands(), path, options or {})
        return await self._do(Interaction(COMMAND, self._id, self._channel(channel), data))

    async def autocomplete(
        self, path: Sequence[str], options: Mapping[str, Any], focused: str, *, channel: int | str | None = None
    ) -> list[Payload]:
        """The choices ({name, value}) the bot offers while the option `focused` is typed; none when it is too late."""
        data = command_data(self.commands(), path, {focused: "", **options}, focused)
        answer = await self._interactions.ask(Interaction(AUTOCOMPLETE, self._id, self._channel(channel), data))
        return answer["data"].get("choices", []) if answer else []

    async def click(self, message: int | str, custom_id: str) -> Outcome:
        shown = self._guild.messages.get(str(message))
        if shown is None or self._guild.ephemeral_to.get(shown["id"], self._id) != self._id:
            raise Misuse("There is no such message.")
        found = [each for each in walk(shown["components"]) if each["type"] == 2 and each.get("custom_id") == custom_id]
        if not found or found[0].get("disabled"):
            raise Misuse(f"There is nothing to press with the id {custom_id}.")
        data: Payload = {"custom_id": custom_id, "component_type": found[0]["type"], "id": found[0]["id"]}
        return await self._do(Interaction(CLICK, self._id, shown["channel_id"], data, shown["id"]))

    async def submit_modal(self, modal: str, fields: Mapping[str, str]) -> Outcome:
        """Submit a shown modal (its `id`) with the texts typed, by custom_id; it stays open when that failed."""
        shown_by, shown = self._interactions.modals.get(modal, (None, None))
        if shown_by is None or shown is None or shown_by.person_id != self._id:
            raise Misuse("This form is not open.")
        answers = modal_answers(shown["components"], fields)
        submission = self._interactions.submission(modal, {"custom_id": shown["custom_id"], "components": answers})
        outcome = await self._do(submission)
        if outcome["outcome"] != "failed":
            self._interactions.modals.pop(modal, None)
        return outcome

    def messages(self, channel: int | str | None = None) -> list[Payload]:
        """The messages this person sees in a channel or thread, oldest first."""
        return self._guild.messages_in(self._channel(channel), self._id)

    def commands(self) -> list[Payload]:
        """The commands that this person's client offers."""
        return [command for scope in self._guild.commands.values() for command in scope]

    def state(self) -> Payload:
        """What the page shows around the messages: people, channels with their threads, and commands."""
        guild = self._guild
        return {
            "people": [{"id": p.id, "key": p.key, "name": p.name, "roles": p.roles} for p in guild.people.values()],
            "channels": [
                {"id": channel["id"], "name": channel["name"], "threads": self._threads(channel["id"])}
                for channel in guild.channels.values()
                if channel["type"] != THREAD
            ],
            "roles": [{"id": role_id, "name": name} for name, role_id in guild.role_ids.items()],
            "commands": self.commands(),
        }

    def _threads(self, channel_id: str) -> list[Payload]:
        return [
            {"id": each["id"], "name": each["name"], "archived": each["thread_metadata"]["archived"]}
            for each in self._guild.channels.values()
            if each.get("parent_id") == channel_id
        ]

    async def _do(self, interaction: Interaction) -> Outcome:
        answer = await self._interactions.ask(interaction)
        if answer is None:
            error = "The application did not respond"
            return Outcome(outcome="failed", interaction=interaction.id, message=None, modal=None, error=error)
        kind, message, modal = _OUTCOMES[answer["type"]], answer["message"], answer["modal"]
        return Outcome(outcome=kind, interaction=interaction.id, message=message, modal=modal, error=None)

    def _channel(self, channel: int | str | None) -> str:
        channel_id = str(channel or next(iter(self._guild.channels)))
        if channel_id not in self._guild.channels:
            raise Misuse("There is no such channel.")
        return channel_id


class PeopleApi:
    """The HTTP face of Person: JSON requests and a stream of server-sent events."""

    def __init__(self, guild: Guild, interactions: Interactions) -> None:
        self._guild, self._interactions = guild, interactions
        self._readers: dict[asyncio.Queue[bytes], str] = {}
        guild.listeners.append(self._hear)

    def person(self, key: str) -> Person:
        """Somebody by key; raises Misuse."""
        if key not in self._guild.people:
            raise Misuse(f"There is nobody called {key!r}.")
        return Person(self._guild, self._interactions, self._guild.people[key])

    def close(self) -> None:
        for reader in self._readers:
            reader.put_nowait(b"")

    def routes(self) -> list[web.RouteDef]:
        """Everything below /people."""
        return [
            web.get("/people/state", self._reading(lambda person, _: person.state())),
            web.get(
                "/people/channels/{id}/messages", self._reading(lambda p, request: p.messages(request.match_info["id"]))
            ),
            web.get("/people/events", self._stream),
            web.post(
                "/people/command", self._doing(lambda p, b: p.command(b["path"], b["options"], channel=b["channel"]))
            ),
            web.post("/people/autocomplete", self._doing(_autocomplete)),
            web.post("/people/click", self._doing(lambda p, b: p.click(b["message"], b["custom_id"]))),
            web.post("/people/modal", self._doing(lambda p, b: p.submit_modal(b["modal"], b["fields"]))),
        ]

    def _reading(
        self, read: Callable[[Person, web.Request], object]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(read(self.person(request.query.get("person", "")), request))

        return answer

    def _doing(
        self, act: Callable[[Person, Payload], Awaitable[object]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            body = await request.json()
            try:
                return web.json_response(await act(self.person(body["person"]), body))
            except KeyError as missing:
                raise Misuse(f"The request lacks {missing}.") from missing

        return answer

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        person = self.person(request.query.get("person", ""))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        news: asyncio.Queue[bytes] = asyncio.Queue()
        self._readers[news] = str(person.id)
        news.put_nowait(b": welcome\n\n")
        try:
            while text := await news.get():
                await response.write(text)
        except ConnectionResetError:
            pass  # the page was closed
        finally:
            del self._readers[news]
        return response

    def _hear(self, event: str, payload: Payload, only_to: str | None) -> None:
        if event in _EVENTS:
            text = f"event: {_EVENTS[event]}\ndata: {json.dumps(payload)}\n\n".encode()
            for reader, person_id in self._readers.items():
                if only_to in (None, person_id):
                    reader.put_nowait(text)


async def _autocomplete(person: Person, body: Payload) -> Payload:
    choices = await person.autocomplete(body["path"], body["options"], body["focused"], channel=body["channel"])
    return {"choices": choices}
