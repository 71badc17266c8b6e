"""The `stationmaster` command."""


def main() -> None:
    """Run the command line."""
    from bot.cli import cli

    cli()


if __name__ == "__main__":
    main()
