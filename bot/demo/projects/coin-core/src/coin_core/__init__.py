"""Money in whole cents."""

VERSION = "@VERSION@"


def euros(cents: int) -> str:
    """Cents as people read them."""
    return f"{cents // 100}.{cents % 100:02d} EUR"
