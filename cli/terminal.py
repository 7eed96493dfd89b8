"""What a person reads: one line at a time."""

from __future__ import annotations

from rich.console import Console


def say(console: Console, message: str) -> None:
    """``message`` as it is, square brackets too."""
    console.print(message, markup=False)
