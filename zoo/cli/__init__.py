"""The command line."""

from zoo.cli.app import main

__all__ = ["main"]
