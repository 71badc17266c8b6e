"""The `stationmaster` command."""

import gc


def main() -> None:
    """Run the command line."""
    gc.set_threshold(10_000)  # nearly all that a start makes stays: looking through it so often takes a tenth of it
    from bot.cli import cli

    cli()


if __name__ == "__main__":
    main()
