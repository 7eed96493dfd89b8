"""A figure that can be traced back: its value, where it comes from, and the command that makes it again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A number with its unit and its provenance: ``measured``, ``derived`` or ``projected``, by what, and how again."""

    label: str
    value: float | int
    unit: str
    provenance: str
    source: str
    command: str

    @property
    def shown(self) -> str:
        if isinstance(self.value, int):
            return f"{self.value:,}"
        return f"{self.value:,.4g}" if abs(self.value) < 1000 else f"{self.value:,.0f}"
