"""The REST routes the bot uses: each handler is one synchronous step on the guild, so requests never interleave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.demo.discord.guild import Guild
from bot.demo.discord.interactions import Interactions
from bot.demo.discord.limits import Meter
from bot.demo.discord.messages import edited_message, new_message
from bot.demo.discord.protocol import ApiError, Payload, Permission, Upload, age_seconds, invalid_form, now, snowflake
from bot.demo.discord.rules import broken_command_rules, broken_message_rules, broken_modal_rules

Answer = tuple[int, object]
"""Status and JSON body; None is no body."""

_NONCE_SECONDS = 300.0


@dataclass(frozen=True)
class Call:
    """One request of the bot: path variables, query, decoded JSON body (None: no body) and uploaded files."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Payload
    files: Mapping[int, Upload]


@dataclass(frozen=True)
class Route:
    """One endpoint: `kind` names its rate-limit bucket; public ones carry a token in the path instead of a header."""

    method: str
    path: str
    handle: Callable[[Call], Answer]
    kind: str = "other"
    is_public: bool = False


class Rest:
    """The handlers of all endpoints (discord.md 1.4)."""

    def __init__(self, guild: Guild, interactions: Interactions, meter: Meter) -> None:
        self._guild, self._interactions, self._meter = guild, interactions, meter

    def routes(self) -> list[Route]:
        """All endpoints; literal paths come before the ones with a variable in the same place."""
        channel, hook = "/channels/{channel}", "/webhooks/{app}/{token}"
        message = channel + "/messages/{message}"
        commands = ("/applications/{app}/commands", "/applications/{app}/guilds/{guild}/commands")
        return [
            Route("GET", "/users/@me", self._me),
            Route("GET", "/oauth2/applications/@me", self._application),
            Route("GET", "/gateway", lambda _: (200, {"url": self._gateway_url()})),
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
            Route("PUT", channel + "/messages/pins/{message}", self._pin),
            Route("DELETE", channel + "/messages/pins/{message}", self._unpin),
            Route("GET", message, self._read_message),
            Route("PATCH", message, self._edit, "edit"),
            Route("DELETE", message, self._delete, "delete"),
            Route("POST", message + "/threads", self._create_thread, "thread"),
            Route("PUT", message + "/reactions/{emoji}/@me", self._react, "react"),
            Route("POST", "/interactions/{interaction}/{token}/callback", self._answer_interaction, "", True),
            Route("POST", hook, self._follow_up, "webhook", True),
            Route("GET", hook + "/messages/{message}", self._read_reply, "", True),
            Route("PATCH", hook + "/messages/{message}", self._edit_reply, "webhook", True),
            Route("DELETE", hook + "/messages/{message}", self._delete_reply, "webhook", True),
        ]

    # --- the bot itself ---

    def _me(self, _: Call) -> Answer:
        return 200, self._guild.user(self._guild.bot_id) | {"mfa_enabled": False, "locale": "en-US", "verified": True}

    def _application(self, _: Call) -> Answer:
        bot, owner = self._guild.user(self._guild.bot_id), next(iter(self._guild.people.values()))
        nothing = dict.fromkeys(
            ("icon", "type", "team", "interactions_endpoint_url", "role_connections_verification_url")
        )
        counts = {f"approximate_{what}_count": 1 for what in ("guild", "user_install", "user_authorization")}
        lists = {"redirect_uris": list[str](), "eligible_oauth2_scopes": list[str]()}
        numbers = {"flags": 0, "flags_new": "0", "explicit_content_filter": 0, "verify_key": "0" * 64}
        names = {"id": bot["id"], "name": bot["global_name"], "description": "", "bot_public": False, "bot": bot}
        public = {"bot_require_code_grant": False, "owner": self._guild.user(owner.id)}
        return 200, {**names, **nothing, **counts, **lists, **numbers, **public}

    def _gateway_url(self) -> str:
        return self._guild.base_url.replace("http", "ws", 1) + "/gateway"

    def _gateway_bot(self, _: Call) -> Answer:
        starts = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
        return 200, {"url": self._gateway_url(), "shards": 1, "session_start_limit": starts}

    def _member(self, call: Call) -> Answer:
        if call.path["user"] not in self._guild.users:
            raise ApiError(404, 10007, "Unknown Member")
        return 200, self._guild.member(call.path["user"])

    # --- commands ---

    def _read_commands(self, call: Call) -> Answer:
        return 200, self._guild.commands.get(call.path.get("guild", ""), [])

    def _sync_commands(self, call: Call) -> Answer:
        wanted: list[Payload] = call.body["list"]
        _refuse(broken_command_rules(wanted))
        scope = call.path.get("guild", "")
        known = {each["name"]: each["id"] for each in self._guild.commands.get(scope, [])}
        self._guild.put("commands", scope, [self._registered(each, scope, known.get(each["name"])) for each in wanted])
        self._guild.emit("commands", {"scope": scope})
        return 200, self._guild.commands[scope]

    def _registered(self, command: Payload, scope: str, known_id: str | None) -> Payload:
        bits = command.get("default_member_permissions")
        ids = {"id": known_id or snowflake(), "application_id": self._guild.bot_id, "version": snowflake()}
        ids |= {"guild_id": scope} if scope else {}
        rest = {"description": "", "type": 1, "default_member_permissions": None if bits is None else str(bits)}
        return (
            _without_nulls(command)
            | {key: command.get(key) or value for key, value in rest.items()}
            | ids
            | {"default_member_permissions": rest["default_member_permissions"]}
        )

    # --- channels and threads ---

    def _read_channel(self, call: Call) -> Answer:
        self._guild.demand(call.path["channel"])
        return 200, self._guild.channel(call.path["channel"])

    def _change_channel(self, call: Call) -> Answer:
        channel_id = call.path["channel"]
        channel = self._guild.channel(channel_id)
        is_own = channel["type"] == 11 and channel["owner_id"] == self._guild.bot_id and "locked" not in call.body
        strong = Permission.MANAGE_THREADS if channel["type"] == 11 else Permission.MANAGE_CHANNELS
        self._guild.demand(channel_id, *([] if is_own else [strong]))
        if call.body.get("archived") is not False:
            self._refuse_archived(channel_id)
        if {"name", "topic"} & call.body.keys():
            self._meter.take("rename", channel_id)  # hidden: the headers of the route do not tell of it
        return 200, self._guild.change_channel(channel_id, dict(call.body))

    def _delete_channel(self, call: Call) -> Answer:
        channel = self._guild.channel(call.path["channel"])
        strong = Permission.MANAGE_THREADS if channel["type"] == 11 else Permission.MANAGE_CHANNELS
        self._guild.demand(channel["id"], strong)
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
        self._guild.rewrite(message | {"thread": thread, "flags": message["flags"] | 1 << 5})
        return 201, thread

    def _type(self, call: Call) -> Answer:
        self._demand_sending(call.path["channel"], {}, {})
        return 204, None

    # --- messages ---

    def _send(self, call: Call) -> Answer:
        channel_id = call.path["channel"]
        channel = self._guild.channel(channel_id)
        self._demand_sending(channel_id, call.body, call.files)
        _refuse_message(call.body, call.files)
        nonce = call.body.get("nonce")
        if nonce is not None and call.body.get("enforce_nonce"):
            recent = [each for each in self._guild.messages_in(channel_id) if age_seconds(each["id"]) < _NONCE_SECONDS]
            if earlier := [each for each in recent if each.get("nonce") == str(nonce)]:
                return 200, earlier[0]
        if channel["type"] == 11 and channel["thread_metadata"]["archived"]:
            if channel["thread_metadata"]["locked"]:
                self._refuse_archived(channel_id)
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
        _refuse(broken_message_rules(call.body, call.files, message))
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
        found = self._readable(call.path["channel"])
        limit = int(call.query.get("limit", "50"))
        if after := call.query.get("after"):
            found = [each for each in found if int(each["id"]) > int(after)][:limit]
        if before := call.query.get("before"):
            found = [each for each in found if int(each["id"]) < int(before)]
        return 200, found[::-1][:limit]

    def _pins(self, call: Call) -> Answer:
        pinned = [each for each in self._readable(call.path["channel"]) if each["pinned"]]
        items = [{"pinned_at": self._guild.pinned_at[each["id"]], "message": each} for each in pinned]
        return 200, {"items": sorted(items, key=lambda item: item["pinned_at"], reverse=True), "has_more": False}

    def _pin(self, call: Call) -> Answer:
        return self._set_pinned(call, True)

    def _unpin(self, call: Call) -> Answer:
        return self._set_pinned(call, False)

    def _set_pinned(self, call: Call, is_pinned: bool) -> Answer:
        message = self._existing(call)
        self._guild.demand(call.path["channel"], Permission.PIN_MESSAGES)
        self._refuse_archived(call.path["channel"])
        self._guild.put("pinned_at", message["id"], now() if is_pinned else None)
        self._guild.rewrite(message | {"pinned": is_pinned})
        last = {"last_pin_timestamp": self._guild.pinned_at.get(message["id"])}
        self._guild.emit(
            "CHANNEL_PINS_UPDATE", {"guild_id": self._guild.id, "channel_id": message["channel_id"], **last}
        )
        return 204, None

    def _react(self, call: Call) -> Answer:
        message = self._existing(call)
        self._guild.demand(call.path["channel"], Permission.ADD_REACTIONS, Permission.READ_MESSAGE_HISTORY)
        counts = {"count": 1, "count_details": {"burst": 0, "normal": 1}, "burst_colors": list[str]()}
        mine = {"me": True, "me_burst": False, "emoji": {"id": None, "name": call.path["emoji"]}}
        others = [each for each in message.get("reactions", []) if each["emoji"]["name"] != call.path["emoji"]]
        self._guild.rewrite(message | {"reactions": [*others, counts | mine]})
        return 204, None

    # --- interactions ---

    def _answer_interaction(self, call: Call) -> Answer:
        data: Payload = call.body.get("data") or {}
        match call.body["type"]:
            case 4:
                _refuse_message(data, call.files)
            case 9:
                _refuse(broken_modal_rules(data))
            case _:
                _refuse(broken_message_rules(data, call.files))
        answer = self._interactions.answer(call.path["interaction"], call.path["token"], call.body, call.files)
        return (200, answer) if call.query.get("with_response") in ("1", "true") else (204, None)

    def _follow_up(self, call: Call) -> Answer:
        interaction = self._interactions.by_token(call.path["token"])
        _refuse_message(call.body, call.files)
        message = self._interactions.follow_up(interaction, call.body, call.files)
        return (200, message) if call.query.get("wait") in ("1", "true") else (204, None)

    def _read_reply(self, call: Call) -> Answer:
        return 200, self._reply(call)

    def _edit_reply(self, call: Call) -> Answer:
        message = self._reply(call)
        _refuse(broken_message_rules(call.body, call.files, message))
        return 200, self._interactions.edit(message, call.body, call.files)

    def _delete_reply(self, call: Call) -> Answer:
        self._guild.remove_message(self._reply(call)["id"])
        return 204, None

    # --- what several endpoints ask ---

    def _reply(self, call: Call) -> Payload:
        return self._interactions.message(self._interactions.by_token(call.path["token"]), call.path["message"])

    def _existing(self, call: Call) -> Payload:
        self._guild.demand(call.path["channel"])
        message = self._guild.message(call.path["channel"], call.path["message"])
        if message["id"] in self._guild.ephemeral_to:
            raise ApiError(404, 10008, "Unknown Message")
        return message

    def _readable(self, channel_id: str) -> list[Payload]:
        self._guild.demand(channel_id)
        may_read = self._guild.bot_permissions(channel_id) & Permission.READ_MESSAGE_HISTORY
        return self._guild.messages_in(channel_id) if may_read else []

    def _demand_sending(self, channel_id: str, body: Payload, files: Mapping[int, Upload]) -> None:
        is_thread = self._guild.channel(channel_id)["type"] == 11
        needed = [Permission.SEND_MESSAGES_IN_THREADS if is_thread else Permission.SEND_MESSAGES]
        needed += [Permission.EMBED_LINKS] if body.get("embeds") else []
        needed += [Permission.ATTACH_FILES] if files else []
        self._guild.demand(channel_id, *needed)

    def _refuse_archived(self, channel_id: str) -> None:
        if self._guild.channel(channel_id).get("thread_metadata", {}).get("archived"):
            raise ApiError(400, 50083, "Thread is archived")


def _refuse(broken: list[str]) -> None:
    if broken:
        raise invalid_form(broken)


def _refuse_message(body: Payload, files: Mapping[int, Upload]) -> None:
    if not files and not any(body.get(key) for key in ("content", "embeds", "components")):
        raise ApiError(400, 50006, "Cannot send an empty message")
    _refuse(broken_message_rules(body, files))


def _without_nulls(value: Payload) -> Payload:
    kept = {key: each for key, each in value.items() if each is not None}
    if "options" in kept:
        kept["options"] = [_without_nulls(option) for option in kept["options"]]
    return kept
