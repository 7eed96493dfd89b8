"""Named FPGA parts, and whether a design fits one on paper: its resources after synthesis over what the part has.

On paper only: a part that is nearly full may still not be routed, and a clock frequency does not follow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

KINDS = ("lut", "ff", "dsp", "bram36")


@dataclass(frozen=True)
class Part:
    """``family`` is that of the resources that count for it: UltraScale+ has the LUT6, block RAM and more than the DSP
    of ``xc7``. ``lut`` are LUT4 on ECP5, ``bram36`` blocks of 36 Kbit (two of ECP5's), ``uram`` blocks of 288 Kbit."""

    name: str
    family: str
    lut: int
    ff: int
    dsp: int
    bram36: float
    uram: int
    source: str


@cache
def parts(family: str | None = None) -> tuple[Part, ...]:
    """Every named part, or those for which a family's resources count, smallest first."""
    known = (Part(**entry) for entry in json.loads(files(__package__).joinpath("parts.json").read_text()))
    return tuple(part for part in known if family in (None, part.family))


def shares(total: Mapping[str, float], part: Part) -> dict[str, float]:
    """What the ``total`` of a ``resources.json`` takes of a part: 1 is all of it."""
    return {kind: total[kind] / getattr(part, kind) for kind in KINDS}


def fits(total: Mapping[str, float], part: Part) -> bool:
    """Whether a part has as much of everything."""
    return max(shares(total, part).values()) <= 1
