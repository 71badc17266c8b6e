"""Points discord.py of this process at a loopback Discord instead of the real one, and at nothing else."""

from __future__ import annotations

import discord.gateway
import discord.http
import yarl

from core.words import is_loopback


def redirect_client(base_url: str) -> None:
    """Send every discord.py client of this process to `base_url` (discord.md 1.3 A).

    Raises ValueError for any host but loopback: a real bot token must never travel to a stranger.
    """
    url = yarl.URL(base_url)
    if not is_loopback(url.host or ""):
        raise ValueError(f"refusing to send the bot token to {url.host!r}: only a loopback address may replace Discord")
    discord.http.Route.BASE = f"{url.origin()}/api/v10"
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = url.origin().with_scheme("ws") / "gateway"
