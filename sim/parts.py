"""Named FPGA parts, each on a board with a memory, and whether a design fits one on paper: its resources after
synthesis over what the part has.

On paper only: a part that is nearly full may still not be routed, and a clock frequency does not follow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil

from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.offchip import Supply

KINDS = ("lut", "ff", "dsp", "bram36")


@dataclass(frozen=True)
class Board:
    """The memory beside a part: so many ``chips`` side by side of a kind of ``dram.json``, its peak bandwidth, the
    longest burst that its port takes, and the time from a request to the first byte."""

    name: str
    memory: str
    dram: str
    chips: int
    megabytes: int
    gb_per_s: float
    burst_bytes: int
    latency_ns: float
    source: str

    def supply(self, clock: float) -> Supply:
        """At a clock in MHz."""
        return Supply(self.gb_per_s * 1e3 / clock, self.burst_bytes, ceil(self.latency_ns * clock / 1e3))


@dataclass(frozen=True)
class Part:
    """``family`` is that of the resources that count for it: UltraScale+ and Versal have the LUT6, block RAM and
    more than the DSP of ``xc7``. ``lut`` are LUT4 on ECP5, ``bram36`` blocks of 36 Kbit (two of ECP5's), ``uram``
    blocks of 288 Kbit; ``macs_per_dsp`` are the products of 8 by 8 bits that share a multiplier (two in 25 x 18 bits,
    docs/targets.md)."""

    name: str
    family: str
    lut: int
    ff: int
    dsp: int
    bram36: float
    uram: int
    macs_per_dsp: int
    source: str
    board: Board

    def peak_macs(self, clock: float) -> float:
        """Multiply-accumulates per second of all its DSPs at a clock in MHz."""
        return self.dsp * self.macs_per_dsp * clock * 1e6


@cache
def parts(family: str | None = None) -> tuple[Part, ...]:
    """Every named part, or those for which a family's resources count, smallest first."""
    entries = json.loads(files(__package__).joinpath("parts.json").read_text())
    known = (Part(**{**entry, "board": Board(**entry["board"])}) for entry in entries)
    return tuple(part for part in known if family in (None, part.family))


def named(name: str | None) -> tuple[Part, ...]:
    """The part called ``name``, or every part (None); SimulationError lists the known."""
    found = tuple(part for part in parts() if name in (None, part.name))
    if not found:
        raise SimulationError(f"unknown part {name!r}: choose one of {', '.join(part.name for part in parts())}")
    return found


def shares(total: Mapping[str, float], part: Part) -> dict[str, float]:
    """What the ``total`` of a ``resources.json`` takes of a part: 1 is all of it."""
    return {kind: total[kind] / getattr(part, kind) for kind in KINDS}


def fits(total: Mapping[str, float], part: Part) -> bool:
    """Whether a part has as much of everything."""
    return max(shares(total, part).values()) <= 1
