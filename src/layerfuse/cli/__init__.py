"""The command line: each command parses, calls the library and prints. Heavy imports wait for the call."""

from layerfuse.cli.app import main

__all__ = ["main"]
