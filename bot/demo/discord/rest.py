"""The REST endpoints that the bot uses: itself, its commands, threads and messages (discord.md 1.4).

Each handler is one synchronous step on the guild, so requests never interleave. Every other endpoint is a violation.
"""

from __future__ import annotations

from bot.demo.discord.guild import Guild
from bot.demo.discord.limits import Meter
from bot.demo.discord.messages import edited_message, new_message
from bot.demo.discord.protocol import (
    HAS_THREAD,
    THREAD,
    Answer,
    ApiError,
    Call,
    Payload,
    Permission,
    Route,
    age_seconds,
    now,
    snowflake,
    without_nulls,
)
from bot.demo.discord.rules import check_commands, check_message

_NONCE_SECONDS = 300.0
_UNUSED_APPLICATION_FIELDS: Payload = {
    "description": "",
    "verify_key": "0" * 64,
    "bot_public": False,
    "bot_require_code_grant": False,
    "explicit_content_filter": 0,
    "flags": 0,
    "flags_new": "0",
    "redirect_uris": [],
    "eligible_oauth2_scopes": [],
    **dict.fromkeys(("icon", "type", "team", "interactions_endpoint_url", "role_connections_verification_url")),
    **{f"approximate_{what}_count": 1 for what in ("guild", "user_install", "user_authorization")},
}


class Rest:
    """The handlers; they answer (status, body) or raise ApiError."""

    def __init__(self, guild: Guild, meter: Meter) -> None:
        self._guild, self._meter = guild, meter

    def routes(self) -> list[Route]:
        """All endpoints; a literal path comes before the one with a variable in the same place."""
        messages = "/channels/{channel}/messages"
        message = messages + "/{message}"
        commands = "/applications/{app}/guilds/{guild}/commands"
        return [
            Route("GET", "/users/@me", self._me),
            Route("GET", "/oauth2/applications/@me", self._application),
            Route("GET", "/gateway/bot", self._gateway_bot),
            Route("GET", commands, lambda call: (200, self._guild.commands.get(call.path["guild"], []))),
            Route("PUT", commands, self._sync_commands, "sync"),
            Route("GET", messages, self._history),
            Route("POST", messages, self._send, "send"),
            Route("PUT", messages + "/pins/{message}", self._pin),
            Route("GET", message, self._read_message),
            Route("PATCH", message, self._edit, "edit"),
            Route("POST", message + "/threads", self._create_thread, "thread"),
        ]

    # --- the bot itself, and its commands ---

    def _me(self, _: Call) -> Answer:
        return 200, self._guild.user(self._guild.bot_id) | {"mfa_enabled": False, "locale": "en-US", "verified": True}

    def _application(self, _: Call) -> Answer:
        bot, owner = self._guild.user(self._guild.bot_id), next(iter(self._guild.people.values()))
        names = {"id": bot["id"], "name": bot["global_name"], "bot": bot, "owner": self._guild.user(owner.id)}
        return 200, _UNUSED_APPLICATION_FIELDS | names

    def _gateway_bot(self, _: Call) -> Answer:
        starts = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
        return 200, {"url": self._guild.gateway_url, "shards": 1, "session_start_limit": starts}

    def _sync_commands(self, call: Call) -> Answer:
        wanted: list[Payload] = call.body["list"]
        check_commands(wanted)
        scope = call.path["guild"]
        known = {each["name"]: each["id"] for each in self._guild.commands.get(scope, [])}
        self._guild.put("commands", scope, [self._registered(each, known.get(each["name"])) for each in wanted])
        self._guild.emit("commands", {"scope": scope})
        return 200, self._guild.commands[scope]

    def _registered(self, command: Payload, known_id: str | None) -> Payload:
        told = {"description": "", "type": 1, "guild_id": self._guild.id, **without_nulls(command)}
        ids = {"id": known_id or snowflake(), "application_id": self._guild.bot_id, "version": snowflake()}
        return told | ids | {"default_member_permissions": None}

    # --- threads and messages ---

    def _create_thread(self, call: Call) -> Answer:
        channel_id, message_id = call.path["channel"], call.path["message"]
        self._guild.demand(channel_id, Permission.CREATE_PUBLIC_THREADS)
        message = self._guild.message(channel_id, message_id)
        if self._guild.channel(channel_id)["type"] == THREAD:
            raise ApiError(400, 50024, "Cannot execute action on this channel type")
        if message_id in self._guild.channels:
            raise ApiError(400, 160004, "A thread has already been created for this message")
        thread = self._guild.create_thread(message, call.body)
        self._guild.rewrite(message | {"thread": thread, "flags": message["flags"] | HAS_THREAD})
        return 201, thread

    def _send(self, call: Call) -> Answer:
        channel_id = call.path["channel"]
        self._demand_sending(call)
        check_message(call.body, call.files)
        nonce = call.body.get("nonce")
        if nonce is not None and call.body.get("enforce_nonce"):
            recent = [each for each in self._guild.messages_in(channel_id) if age_seconds(each["id"]) < _NONCE_SECONDS]
            if earlier := [each for each in recent if each.get("nonce") == str(nonce)]:
                return 200, earlier[0]
        if self._guild.is_archived(channel_id):
            self._guild.set_archived(channel_id, False)
        message = new_message(self._guild, channel_id, call.body, call.files)
        message |= {} if nonce is None else {"nonce": str(nonce)}
        self._guild.post(message)
        return 200, message

    def _edit(self, call: Call) -> Answer:
        message = self._existing(call)
        check_message(call.body, call.files, message)
        self._refuse_archived(call.path["channel"])
        if age_seconds(message["id"]) > self._meter.limits.old_message_seconds:
            self._meter.take("old edit", call.path["channel"])
        edited = edited_message(self._guild, message, call.body, call.files)
        self._guild.rewrite(edited)
        return 200, edited

    def _read_message(self, call: Call) -> Answer:
        if not self._may_read(call):
            raise ApiError(403, 50001, "Missing Access")
        return 200, self._existing(call)

    def _history(self, call: Call) -> Answer:
        self._guild.demand(call.path["channel"])
        found = self._guild.messages_in(call.path["channel"]) if self._may_read(call) else []
        limit = int(call.query.get("limit", "50"))
        if after := call.query.get("after"):
            found = [each for each in found if int(each["id"]) > int(after)][:limit]
        return 200, found[::-1][:limit]

    def _pin(self, call: Call) -> Answer:
        message = self._existing(call)
        self._guild.demand(call.path["channel"], Permission.PIN_MESSAGES)
        self._refuse_archived(call.path["channel"])
        self._guild.rewrite(message | {"pinned": True})
        place = {"guild_id": self._guild.id, "channel_id": message["channel_id"]}
        self._guild.emit("CHANNEL_PINS_UPDATE", place | {"last_pin_timestamp": now()})
        return 204, None

    # --- what several endpoints ask ---

    def _existing(self, call: Call) -> Payload:
        self._guild.demand(call.path["channel"])
        message = self._guild.message(call.path["channel"], call.path["message"])
        if message["id"] in self._guild.ephemeral_to:
            raise ApiError(404, 10008, "Unknown Message")
        return message

    def _may_read(self, call: Call) -> bool:
        return bool(self._guild.bot_permissions(call.path["channel"]) & Permission.READ_MESSAGE_HISTORY)

    def _demand_sending(self, call: Call) -> None:
        is_thread = self._guild.channel(call.path["channel"])["type"] == THREAD
        needed = [Permission.SEND_MESSAGES_IN_THREADS if is_thread else Permission.SEND_MESSAGES]
        needed += [Permission.EMBED_LINKS] if call.body.get("embeds") else []
        needed += [Permission.ATTACH_FILES] if call.files else []
        self._guild.demand(call.path["channel"], *needed)

    def _refuse_archived(self, channel_id: str) -> None:
        if self._guild.is_archived(channel_id):
            raise ApiError(400, 50083, "Thread is archived")
