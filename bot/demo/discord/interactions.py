"""The life of an interaction: three seconds to answer it once, fifteen minutes to follow up."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.demo.discord.guild import PEOPLE_PERMISSIONS, Guild
from bot.demo.discord.messages import edited_message, new_message, numbered
from bot.demo.discord.protocol import (
    EPHEMERAL,
    LOADING,
    Answer,
    ApiError,
    Call,
    Payload,
    Route,
    Upload,
    invalid_form,
    snowflake,
)
from bot.demo.discord.rules import check_message, check_modal

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

    @property
    def is_answered(self) -> bool:
        """Whether the bot answered in time."""
        return self.acked.done() and not self.acked.cancelled()


class Interactions:
    """All interactions of this process; their tokens die with it."""

    def __init__(self, guild: Guild, ack_seconds: float, token_seconds: float) -> None:
        self._guild = guild
        self._ack_seconds, self._token_seconds = ack_seconds, token_seconds
        self._by_token: dict[str, Interaction] = {}
        self.modals: dict[str, tuple[Interaction, Payload]] = {}
        """Shown and not yet submitted: modal id → what it answered, and the modal with that id in it."""

    def routes(self) -> list[Route]:
        """The endpoints of interactions and their follow-ups; a token in the path opens them."""
        hook = "/webhooks/{app}/{token}"
        original = hook + "/messages/@original"
        return [
            Route("POST", "/interactions/{interaction}/{token}/callback", self._answer, "", is_public=True),
            Route("POST", hook, self._follow_up, "webhook", is_public=True),
            Route("PATCH", original, self._edit_original, "webhook", is_public=True),
            Route("DELETE", original, self._delete_original, "webhook", is_public=True),
        ]

    def submission(self, modal_id: str, data: Payload) -> Interaction:
        """The interaction that submits a shown modal."""
        shown_by, _ = self.modals[modal_id]
        parent = self._metadata(shown_by)
        return Interaction(MODAL_SUBMIT, shown_by.person_id, shown_by.channel_id, data, shown_by.source, parent)

    async def ask(self, interaction: Interaction) -> Payload | None:
        """Send it to the bot and return its answer, {type, data, message, modal}; None when it came too late."""
        self._by_token[interaction.token] = interaction
        self._guild.emit("INTERACTION_CREATE", self._payload(interaction))
        try:
            return await asyncio.wait_for(interaction.acked, self._ack_seconds)
        except TimeoutError:
            failed = {"interaction": interaction.id, "error": "The application did not respond"}
            self._guild.emit("failed", failed, interaction.person_id)
            return None

    def _answer(self, call: Call) -> Answer:
        """The bot's one answer; 10062 is unknown or too late, 40060 already answered."""
        interaction = self._by_token.get(call.path["token"])
        if interaction is None or interaction.id != call.path["interaction"]:
            raise ApiError(404, 10062, "Unknown interaction")
        if interaction.is_answered:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        if interaction.acked.done() or time.monotonic() - interaction.at > self._ack_seconds:
            raise ApiError(404, 10062, "Unknown interaction")
        kind: int = call.body["type"]
        data: Payload = call.body.get("data") or {}
        message = self._act(interaction, kind, data, call.files)
        modal = self._show_modal(interaction, data) if kind == 9 else None
        interaction.acked.set_result({"type": kind, "data": data, "message": message, "modal": modal})
        self._guild.emit("ack", {"interaction": interaction.id, "type": kind})
        if not _is_yes(call.query.get("with_response")):
            return 204, None
        told: Payload = {"id": interaction.id, "type": interaction.kind}
        if message is not None:
            told |= {"response_message_id": message["id"], "response_message_loading": kind == 5}
            told["response_message_ephemeral"] = bool(message["flags"] & EPHEMERAL)
        return 200, {"interaction": told} | ({"resource": {"type": kind, "message": message}} if kind in (4, 7) else {})

    def _follow_up(self, call: Call) -> Answer:
        """One more message; the first one after "is thinking…" takes that one's place."""
        interaction = self._living(call)
        check_message(call.body, call.files)
        message = self._guild.messages.get(interaction.original or "")
        if message is not None and message["flags"] & LOADING:
            message = self._rewrite(message, call.body, call.files)
        else:
            message = self._post(interaction, call.body, call.files)
        return (200, message) if _is_yes(call.query.get("wait")) else (204, None)

    def _edit_original(self, call: Call) -> Answer:
        message = self._original(call)
        check_message(call.body, call.files, message)
        return 200, self._rewrite(message, call.body, call.files)

    def _delete_original(self, call: Call) -> Answer:
        self._guild.remove_message(self._original(call)["id"])
        return 204, None

    def _original(self, call: Call) -> Payload:
        interaction = self._living(call)
        return self._guild.message(interaction.channel_id, interaction.original or "")

    def _living(self, call: Call) -> Interaction:
        interaction = self._by_token.get(call.path["token"])
        if interaction is None or time.monotonic() - interaction.at > self._token_seconds:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        if not interaction.is_answered:
            raise ApiError(404, 10015, "Unknown Webhook")
        return interaction

    def _rewrite(self, message: Payload, body: Payload, files: Mapping[int, Upload]) -> Payload:
        edited = edited_message(self._guild, message | {"flags": message["flags"] & ~LOADING}, body, files)
        self._guild.rewrite(edited)
        return edited

    def _act(self, it: Interaction, kind: int, data: Payload, files: Mapping[int, Upload]) -> Payload | None:
        match kind:
            case 4 | 5:
                if kind == 4:
                    check_message(data, files)
                thinking = LOADING if kind == 5 else 0
                message = self._post(it, data | {"flags": (data.get("flags") or 0) | thinking}, files)
                it.original = message["id"]
                return message
            case 6 | 7 if it.source is not None:
                it.original = it.source
                message = self._guild.message(it.channel_id, it.source)
                if kind == 6:
                    return message
                check_message(data, files, message)
                return self._rewrite(message, data, files)
            case 8 if it.kind == AUTOCOMPLETE:
                return None
            case 9 if it.kind in (COMMAND, CLICK):
                check_modal(data)
                return None
            case _:
                raise invalid_form([f"type: callback type {kind} cannot answer this interaction"])

    def _post(self, interaction: Interaction, body: Payload, files: Mapping[int, Upload]) -> Payload:
        message = new_message(self._guild, interaction.channel_id, body, files)
        message |= {"webhook_id": self._guild.bot_id, "interaction_metadata": self._metadata(interaction)}
        self._guild.post(message, interaction.person_id if message["flags"] & EPHEMERAL else None)
        return message

    def _show_modal(self, interaction: Interaction, data: Payload) -> Payload:
        modal: Payload = data | {"id": secrets.token_urlsafe(8), "components": numbered(data["components"])}
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
        bits = str(PEOPLE_PERMISSIONS)
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
        return payload | ({"message": guild.messages[it.source]} if it.source in guild.messages else {})


def _is_yes(value: str | None) -> bool:
    return value in ("1", "true")
