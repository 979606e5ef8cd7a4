"""The command line: each command parses, calls the library and prints; it imports when called."""

from layerfuse.cli.app import main

__all__ = ["main"]
