"""The life of an interaction: three seconds to answer it once, fifteen minutes to follow up."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.demo.discord.guild import Guild
from bot.demo.discord.messages import edited_message, new_message, numbered
from bot.demo.discord.protocol import EPHEMERAL, LOADING, ApiError, Payload, Upload, snowflake

COMMAND, CLICK, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5


@dataclass(eq=False)
class Interaction:
    """One thing a person did; `source` is the message it was done on, `original` the one that answers it."""

    kind: int
    person_id: str
    channel_id: str
    data: Payload
    source: str | None = None
    parent: Payload | None = None
    id: str = field(default_factory=snowflake)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    at: float = field(default_factory=time.monotonic)
    acked: asyncio.Future[Payload] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    original: str | None = None


class Interactions:
    """All interactions of this process; their tokens die with it."""

    def __init__(self, guild: Guild, ack_seconds: float, token_seconds: float) -> None:
        self._guild = guild
        self._ack_seconds, self._token_seconds = ack_seconds, token_seconds
        self._by_token: dict[str, Interaction] = {}
        self.modals: dict[str, tuple[Interaction, Payload]] = {}
        """Shown and not yet submitted: modal id → what it answered, and the modal with that id in it."""

    def submission(self, modal_id: str, data: Payload) -> Interaction:
        """The interaction that submits a shown modal."""
        shown_by, _ = self.modals[modal_id]
        parent = self._metadata(shown_by)
        return Interaction(MODAL_SUBMIT, shown_by.person_id, shown_by.channel_id, data, shown_by.source, parent)

    async def ask(self, interaction: Interaction) -> Payload | None:
        """Send it to the bot and return the bot's answer, {type, data, message, modal}, or None when it was too late."""
        self._by_token[interaction.token] = interaction
        self._guild.emit("INTERACTION_CREATE", self._payload(interaction))
        try:
            return await asyncio.wait_for(interaction.acked, self._ack_seconds)
        except TimeoutError:
            failed = {"interaction": interaction.id, "error": "The application did not respond"}
            self._guild.emit("failed", failed, interaction.person_id)
            return None

    def answer(self, interaction_id: str, token: str, body: Payload, files: Mapping[int, Upload]) -> Payload:
        """The bot's one answer; raises 10062 (unknown or too late) and 40060 (already answered)."""
        interaction = self._by_token.get(token)
        if interaction is None or interaction.id != interaction_id:
            raise ApiError(404, 10062, "Unknown interaction")
        if interaction.acked.done() and not interaction.acked.cancelled():
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        if interaction.acked.cancelled() or time.monotonic() - interaction.at > self._ack_seconds:
            raise ApiError(404, 10062, "Unknown interaction")
        data: Payload = body.get("data") or {}
        message = self._act(interaction, body["type"], data, files)
        modal = self._show_modal(interaction, data) if body["type"] == 9 else None
        interaction.acked.set_result({"type": body["type"], "data": data, "message": message, "modal": modal})
        self._guild.emit("ack", {"interaction": interaction.id, "type": body["type"]})
        told: Payload = {"id": interaction.id, "type": interaction.kind}
        if message is not None:
            told |= {"response_message_id": message["id"], "response_message_loading": body["type"] == 5}
            told["response_message_ephemeral"] = bool(message["flags"] & EPHEMERAL)
        resource = {"resource": {"type": body["type"], "message": message}} if body["type"] in (4, 7) else {}
        return {"interaction": told, **resource}

    def by_token(self, token: str) -> Interaction:
        """The interaction whose token this is; raises 50027 after its life, 10015 before it is answered."""
        interaction = self._by_token.get(token)
        if interaction is None or time.monotonic() - interaction.at > self._token_seconds:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        if not interaction.acked.done() or interaction.acked.cancelled():
            raise ApiError(404, 10015, "Unknown Webhook")
        return interaction

    def follow_up(self, interaction: Interaction, body: Payload, files: Mapping[int, Upload]) -> Payload:
        """One more message; the first one after "is thinking…" takes that one's place."""
        thinking = self._guild.messages.get(interaction.original or "")
        if thinking is not None and thinking["flags"] & LOADING:
            return self.edit(thinking, body, files)
        return self._post(interaction, body, files)

    def message(self, interaction: Interaction, message_id: str) -> Payload:
        """A message reachable through the interaction's token, `@original` included."""
        return self._guild.message(
            interaction.channel_id, (interaction.original or "") if message_id == "@original" else message_id
        )

    def edit(self, message: Payload, body: Payload, files: Mapping[int, Upload]) -> Payload:
        """Change a message through its token; "is thinking…" ends with that."""
        edited = edited_message(self._guild, message | {"flags": message["flags"] & ~LOADING}, body, files)
        self._guild.rewrite(edited)
        return edited

    def _act(self, it: Interaction, kind: int, data: Payload, files: Mapping[int, Upload]) -> Payload | None:
        match kind:
            case 4 | 5:
                thinking = {"flags": (data.get("flags") or 0) | (LOADING if kind == 5 else 0)}
                message = self._post(it, data | thinking, files)
                it.original = message["id"]
                return message
            case 6 | 7 if it.source is not None:
                it.original = it.source
                message = self._guild.message(it.channel_id, it.source)
                return message if kind == 6 else self.edit(message, data, files)
            case 8 if it.kind == AUTOCOMPLETE:
                return None
            case 9 if it.kind in (COMMAND, CLICK):
                return None
            case _:
                raise ApiError(400, 50035, f"Invalid Form Body: callback type {kind} cannot answer this interaction")

    def _post(self, interaction: Interaction, body: Payload, files: Mapping[int, Upload]) -> Payload:
        message = new_message(self._guild, interaction.channel_id, body, files)
        message |= {"webhook_id": self._guild.bot_id, "interaction_metadata": self._metadata(interaction)}
        self._guild.post(message, interaction.person_id if message["flags"] & EPHEMERAL else None)
        return message

    def _show_modal(self, interaction: Interaction, data: Payload) -> Payload:
        modal = data | {"id": secrets.token_urlsafe(8), "components": numbered(data["components"])}
        self.modals[modal["id"]] = (interaction, modal)
        return modal

    def _metadata(self, it: Interaction) -> Payload:
        owners = {"authorizing_integration_owners": {"0": self._guild.id}}
        metadata: Payload = {"id": it.id, "type": it.kind, "user": self._guild.user(it.person_id), **owners}
        if it.kind == CLICK:
            metadata["interacted_message_id"] = it.source
        if it.parent is not None:
            metadata["triggering_interaction_metadata"] = it.parent
        return metadata

    def _payload(self, it: Interaction) -> Payload:
        guild = self._guild
        bits = str(guild.person_permissions(it.person_id))
        payload: Payload = {
            "id": it.id,
            "application_id": guild.bot_id,
            "type": it.kind,
            "token": it.token,
            "version": 1,
            "guild_id": guild.id,
            "guild": {"id": guild.id, "locale": "en-US", "features": []},
            "channel_id": it.channel_id,
            "channel": guild.channel(it.channel_id) | {"permissions": bits},
            "member": guild.member(it.person_id) | {"permissions": bits},
            "app_permissions": str(guild.bot_permissions(it.channel_id)),
            "locale": "en-US",
            "guild_locale": "en-US",
            "entitlements": [],
            "attachment_size_limit": 10 * 1024 * 1024,
            "authorizing_integration_owners": {"0": guild.id},
            "context": 0,
            "data": it.data,
        }
        return payload | ({"message": guild.message(it.channel_id, it.source)} if it.source else {})
