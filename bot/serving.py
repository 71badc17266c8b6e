"""The bot's process: the Discord client, the projector and the dispatcher, side by side, until it is stopped."""
