"""A small honest Discord on 127.0.0.1: the unmodified client library connects to it, people act in it."""

from bot.demo.discord.forms import Misuse
from bot.demo.discord.limits import Limits, Window
from bot.demo.discord.people import Outcome, Person
from bot.demo.discord.redirect import redirect_client
from bot.demo.discord.server import LoopbackDiscord

__all__ = ["Limits", "LoopbackDiscord", "Misuse", "Outcome", "Person", "Window", "redirect_client"]
