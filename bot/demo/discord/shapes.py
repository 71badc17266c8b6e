"""Discord's objects for people, roles, channels and threads, with every field the client or the OpenAPI insists on."""

from __future__ import annotations

from bot.demo.discord.protocol import THREAD, Payload, now

_JOINED = "2026-01-05T09:00:00+00:00"
_ROLE_LOOK: Payload = {
    "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
    "color": 0,
    "hoist": False,
    "icon": None,
    "unicode_emoji": None,
    "position": 1,
    "mentionable": True,
    "flags": 0,
}


def user(user_id: str, name: str, *, is_bot: bool) -> Payload:
    names = {"id": user_id, "username": name, "global_name": name, "discriminator": "0", "bot": is_bot}
    nothing = dict.fromkeys(("avatar", "banner", "accent_color", "avatar_decoration_data", "collectibles"))
    return {**names, **nothing, "public_flags": 0, "flags": 0, "primary_guild": None}


def member(of_user: Payload, role_ids: list[str], nick: str | None) -> Payload:
    nothing = dict.fromkeys(("avatar", "banner", "communication_disabled_until", "premium_since"))
    switches = {"flags": 0, "pending": False, "mute": False, "deaf": False}
    return {"user": of_user, "roles": role_ids, "joined_at": _JOINED, "nick": nick, **nothing, **switches}


def role(role_id: str, name: str, permissions: int, *, is_managed: bool = False) -> Payload:
    return {"id": role_id, "name": name, "permissions": str(permissions), "managed": is_managed, **_ROLE_LOOK}


def channel(guild_id: str, channel_id: str, name: str, position: int) -> Payload:
    numbers = {"type": 0, "position": position, "flags": 0, "rate_limit_per_user": 0}
    nothing = dict.fromkeys(("topic", "last_message_id", "parent_id"))
    ids = {"id": channel_id, "guild_id": guild_id, "name": name}
    return {**ids, **numbers, **nothing, "nsfw": False, "permission_overwrites": list[Payload]()}


def thread(guild_id: str, parent_id: str, owner_id: str, thread_id: str, wish: Payload) -> Payload:
    """A new public thread, as the create request wishes it."""
    return {
        "id": thread_id,
        "type": THREAD,
        "guild_id": guild_id,
        "parent_id": parent_id,
        "owner_id": owner_id,
        "name": wish["name"],
        "last_message_id": None,
        "flags": 0,
        "rate_limit_per_user": wish.get("rate_limit_per_user") or 0,
        "message_count": 0,
        "member_count": 1,
        "total_message_sent": 0,
        "thread_metadata": {
            "archived": False,
            "locked": False,
            "auto_archive_duration": wish.get("auto_archive_duration") or 1440,
            "archive_timestamp": now(),
            "create_timestamp": now(),
        },
    }
