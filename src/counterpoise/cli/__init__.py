"""The command ``counterpoise``, one file a subcommand."""

from counterpoise.cli.main import main

__all__ = ["main"]
