"""The REST endpoints for the bot itself, commands, channels, threads and messages (discord.md 1.4).

Each handler is one synchronous step on the guild, so requests never interleave.
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
        """All endpoints; literal paths come before the ones with a variable in the same place."""
        channel = "/channels/{channel}"
        message, pin = channel + "/messages/{message}", channel + "/messages/pins/{message}"
        commands = ("/applications/{app}/commands", "/applications/{app}/guilds/{guild}/commands")
        return [
            Route("GET", "/users/@me", self._me),
            Route("GET", "/oauth2/applications/@me", self._application),
            Route("GET", "/gateway", lambda _: (200, {"url": self._guild.gateway_url})),
            Route("GET", "/gateway/bot", self._gateway_bot),
            *(Route("GET", path, self._read_commands) for path in commands),
            *(Route("PUT", path, self._sync_commands, "sync") for path in commands),
            Route("GET", "/guilds/{guild}/members/{user}", self._member),
            Route("GET", channel, self._read_channel),
            Route("PATCH", channel, self._change_channel, "channel"),
            Route("DELETE", channel, self._delete_channel, "channel"),
            Route("POST", channel + "/typing", self._type),
            Route("POST", channel + "/threads", self._create_thread, "thread"),
            Route("GET", channel + "/messages", self._history),
            Route("POST", channel + "/messages", self._send, "send"),
            Route("GET", channel + "/messages/pins", self._pins),
            Route("PUT", pin, lambda call: self._set_pinned(call, True)),
            Route("DELETE", pin, lambda call: self._set_pinned(call, False)),
            Route("GET", message, self._read_message),
            Route("PATCH", message, self._edit, "edit"),
            Route("DELETE", message, self._delete, "delete"),
            Route("POST", message + "/threads", self._create_thread, "thread"),
            Route("PUT", message + "/reactions/{emoji}/@me", self._react, "react"),
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

    def _member(self, call: Call) -> Answer:
        if call.path["user"] not in self._guild.users:
            raise ApiError(404, 10007, "Unknown Member")
        return 200, self._guild.member(call.path["user"])

    def _read_commands(self, call: Call) -> Answer:
        return 200, self._guild.commands.get(call.path.get("guild", ""), [])

    def _sync_commands(self, call: Call) -> Answer:
        wanted: list[Payload] = call.body["list"]
        check_commands(wanted)
        scope = call.path.get("guild", "")
        known = {each["name"]: each["id"] for each in self._guild.commands.get(scope, [])}
        self._guild.put("commands", scope, [self._registered(each, scope, known.get(each["name"])) for each in wanted])
        self._guild.emit("commands", {"scope": scope})
        return 200, self._guild.commands[scope]

    def _registered(self, command: Payload, scope: str, known_id: str | None) -> Payload:
        registered: Payload = {"description": "", "type": 1, "default_member_permissions": None}
        registered |= _without_nulls(command) | ({"guild_id": scope} if scope else {})
        if (bits := command.get("default_member_permissions")) is not None:
            registered["default_member_permissions"] = str(bits)
        ids = {"id": known_id or snowflake(), "application_id": self._guild.bot_id, "version": snowflake()}
        return registered | ids

    # --- channels and threads ---

    def _read_channel(self, call: Call) -> Answer:
        self._guild.demand(call.path["channel"])
        return 200, self._guild.channel(call.path["channel"])

    def _change_channel(self, call: Call) -> Answer:
        channel = self._guild.channel(call.path["channel"])
        is_own_thread = channel.get("owner_id") == self._guild.bot_id
        if not is_own_thread or "locked" in call.body:
            self._demand_managing(channel)
        if call.body.get("archived") is not False:
            self._refuse_archived(channel["id"])
        if {"name", "topic"} & call.body.keys():
            self._meter.take("rename", channel["id"])  # hidden: the headers of the route do not tell of it
        return 200, self._guild.change_channel(channel["id"], dict(call.body))

    def _delete_channel(self, call: Call) -> Answer:
        channel = self._guild.channel(call.path["channel"])
        self._demand_managing(channel)
        self._guild.remove_channel(channel["id"])
        return 200, channel

    def _create_thread(self, call: Call) -> Answer:
        channel_id, message_id = call.path["channel"], call.path.get("message")
        self._guild.demand(channel_id, Permission.CREATE_PUBLIC_THREADS)
        if message_id is None:
            return 201, self._guild.create_thread(channel_id, call.body)
        message = self._guild.message(channel_id, message_id)
        if message_id in self._guild.channels:
            raise ApiError(400, 160004, "A thread has already been created for this message")
        thread = self._guild.create_thread(channel_id, call.body, message_id)
        self._guild.rewrite(message | {"thread": thread, "flags": message["flags"] | HAS_THREAD})
        return 201, thread

    def _type(self, call: Call) -> Answer:
        self._demand_sending(call)
        return 204, None

    # --- messages ---

    def _send(self, call: Call) -> Answer:
        channel_id = call.path["channel"]
        self._demand_sending(call)
        check_message(call.body, call.files)
        nonce = call.body.get("nonce")
        if nonce is not None and call.body.get("enforce_nonce"):
            recent = [each for each in self._guild.messages_in(channel_id) if age_seconds(each["id"]) < _NONCE_SECONDS]
            if earlier := [each for each in recent if each.get("nonce") == str(nonce)]:
                return 200, earlier[0]
        state = self._guild.channel(channel_id).get("thread_metadata", {})
        if state.get("locked"):
            self._refuse_archived(channel_id)
        if state.get("archived"):
            self._guild.change_channel(channel_id, {"archived": False})
        message = new_message(self._guild, channel_id, call.body, call.files)
        message |= {} if nonce is None else {"nonce": str(nonce)}
        self._guild.post(message)
        return 200, message

    def _edit(self, call: Call) -> Answer:
        message = self._existing(call)
        if message["author"]["id"] != self._guild.bot_id:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        self._refuse_archived(call.path["channel"])
        check_message(call.body, call.files, message)
        if age_seconds(message["id"]) > self._meter.limits.old_message_seconds:
            self._meter.take("old edit", call.path["channel"])
        edited = edited_message(self._guild, message, call.body, call.files)
        self._guild.rewrite(edited)
        return 200, edited

    def _delete(self, call: Call) -> Answer:
        message = self._existing(call)
        if message["author"]["id"] != self._guild.bot_id:
            self._guild.demand(call.path["channel"], Permission.MANAGE_MESSAGES)
        self._guild.remove_message(message["id"])
        return 204, None

    def _read_message(self, call: Call) -> Answer:
        if not self._guild.bot_permissions(call.path["channel"]) & Permission.READ_MESSAGE_HISTORY:
            raise ApiError(403, 50001, "Missing Access")
        return 200, self._existing(call)

    def _history(self, call: Call) -> Answer:
        found = self._readable(call)
        limit = int(call.query.get("limit", "50"))
        if after := call.query.get("after"):
            found = [each for each in found if int(each["id"]) > int(after)][:limit]
        if before := call.query.get("before"):
            found = [each for each in found if int(each["id"]) < int(before)]
        return 200, found[::-1][:limit]

    def _pins(self, call: Call) -> Answer:
        times = self._guild.pinned_at
        pinned = sorted((each for each in self._readable(call) if each["pinned"]), key=lambda each: times[each["id"]])
        items = [{"pinned_at": times[each["id"]], "message": each} for each in reversed(pinned)]
        return 200, {"items": items, "has_more": False}

    def _set_pinned(self, call: Call, is_pinned: bool) -> Answer:
        message = self._existing(call)
        self._guild.demand(call.path["channel"], Permission.PIN_MESSAGES)
        self._refuse_archived(call.path["channel"])
        self._guild.put("pinned_at", message["id"], now() if is_pinned else None)
        self._guild.rewrite(message | {"pinned": is_pinned})
        place = {"guild_id": self._guild.id, "channel_id": message["channel_id"]}
        self._guild.emit("CHANNEL_PINS_UPDATE", place | {"last_pin_timestamp": now()})
        return 204, None

    def _react(self, call: Call) -> Answer:
        message = self._existing(call)
        self._guild.demand(call.path["channel"], Permission.ADD_REACTIONS, Permission.READ_MESSAGE_HISTORY)
        counts = {"count": 1, "count_details": {"burst": 0, "normal": 1}, "burst_colors": list[str]()}
        mine = {"me": True, "me_burst": False, "emoji": {"id": None, "name": call.path["emoji"]}}
        others = [each for each in message.get("reactions", []) if each["emoji"]["name"] != call.path["emoji"]]
        self._guild.rewrite(message | {"reactions": [*others, counts | mine]})
        return 204, None

    # --- what several endpoints ask ---

    def _existing(self, call: Call) -> Payload:
        self._guild.demand(call.path["channel"])
        message = self._guild.message(call.path["channel"], call.path["message"])
        if message["id"] in self._guild.ephemeral_to:
            raise ApiError(404, 10008, "Unknown Message")
        return message

    def _readable(self, call: Call) -> list[Payload]:
        self._guild.demand(call.path["channel"])
        may_read = self._guild.bot_permissions(call.path["channel"]) & Permission.READ_MESSAGE_HISTORY
        return self._guild.messages_in(call.path["channel"]) if may_read else []

    def _demand_managing(self, channel: Payload) -> None:
        is_thread = channel["type"] == THREAD
        self._guild.demand(channel["id"], Permission.MANAGE_THREADS if is_thread else Permission.MANAGE_CHANNELS)

    def _demand_sending(self, call: Call) -> None:
        is_thread = self._guild.channel(call.path["channel"])["type"] == THREAD
        needed = [Permission.SEND_MESSAGES_IN_THREADS if is_thread else Permission.SEND_MESSAGES]
        needed += [Permission.EMBED_LINKS] if call.body.get("embeds") else []
        needed += [Permission.ATTACH_FILES] if call.files else []
        self._guild.demand(call.path["channel"], *needed)

    def _refuse_archived(self, channel_id: str) -> None:
        if self._guild.channel(channel_id).get("thread_metadata", {}).get("archived"):
            raise ApiError(400, 50083, "Thread is archived")


def _without_nulls(value: Payload) -> Payload:
    kept = {key: each for key, each in value.items() if each is not None}
    if "options" in kept:
        kept["options"] = [_without_nulls(option) for option in kept["options"]]
    return kept
