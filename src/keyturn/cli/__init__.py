"""The `keyturn` command."""

from keyturn.cli.main import main

__all__ = ["main"]
