"""The `sluicegate` command. One module per group of commands; imports wait until a command needs them."""

from gateway.cli.command import main

__all__ = ["main"]
