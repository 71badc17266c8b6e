"""Who owes whom."""

from coin_core import euros

VERSION = "@VERSION@"


def line(who: str, cents: int) -> str:
    """One line of the ledger."""
    return f"{who}: {euros(cents)}"
