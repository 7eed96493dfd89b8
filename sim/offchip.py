"""Weights that a memory outside the chip sends while they are used. Projected: no RTL of this project reads such a one.

The rules. Each block that reads the memory has a fixed share of its bandwidth, so none waits for another, and the times
are those of a marked graph: in proportion to the block's bytes per token among all such blocks, with which all of them
can keep the pace of the memory, ``bytes of all / bandwidth`` cycles per token; or, while one token moves alone through
the pipeline, among those that then work at once, which read nothing before the token has come. A Linear reads its image
in order, whatever the data, in bursts; a burst is asked for as soon as the block's buffer has room for it, its first
byte comes ``latency`` cycles later or behind the burst before it, and the buffer holds as many bursts as cover the
latency, and two more. A burst takes whole cycles, rounded up; the last one of a token is as short as what is left.
Steps wait until the burst that holds their weights is there. When a run begins, the buffers are full. The embedding
asks for a row when its id has come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from math import ceil

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.sim.roms import Rom, roms


@dataclass(frozen=True)
class Supply:
    """What a memory gives: ``bandwidth`` in bytes per cycle, ``burst`` in bytes, ``latency`` in cycles."""

    bandwidth: float
    burst: int
    latency: int


@dataclass(frozen=True)
class Fetch:
    """One block's share, in cycles: ``words`` of a burst, which takes ``cycles``, the last of a token ``rest``."""

    words: int
    latency: int
    room: int  # bursts that the buffer holds
    cycles: int
    rest: int
    bursts: int  # per token
    demand: bool = False  # nothing is read before its token has come

    @property
    def constants(self) -> tuple[int, ...]:
        """The fields of ``Memory`` in actors.h, in their order."""
        return self.words, self.latency, self.room, self.cycles, self.rest, self.bursts, self.demand

    @property
    def interval(self) -> int:
        """Cycles per token that the share allows."""
        return max(self.bursts - 1, 0) * self.cycles + self.rest


ON_CHIP = Fetch(0, 0, 0, 0, 0, 0)


def fetches(dataflow: Dataflow, outside: Collection[str], supply: Supply, alone: bool = False) -> dict[str, Fetch]:
    """By block, the share of each that is ``outside``; ``alone``: for a token that has the pipeline to itself."""
    read = {name: rom for name, rom in roms(dataflow).items() if name in outside}
    at = _stages(dataflow) if alone else dict.fromkeys(read, 0)
    total: dict[int, float] = defaultdict(float)
    for name, rom in read.items():
        total[at[name]] += rom.bytes_per_token
    return {
        name: _fetch(rom, supply, supply.bandwidth * rom.bytes_per_token / total[at[name]], alone)
        for name, rom in read.items()
    }


def _stages(dataflow: Dataflow) -> dict[str, int]:
    """By block, how many Linears a token has gone through before it, at most: those of one stage work at once."""
    behind = {dataflow.source: 0}  # by stream
    stages = {}
    for block in dataflow.blocks:
        stages[block.name] = max(behind[stream] for stream in block.inputs)
        behind.update(dict.fromkeys(block.outputs, stages[block.name] + (block.kind == "Linear")))
    stages[dataflow.reader[dataflow.source][0].name] = -1  # the embedding, before all of them
    return stages


def _fetch(rom: Rom, supply: Supply, rate: float, demand: bool) -> Fetch:
    words = min(max(1, supply.burst * 8 // rom.bits), rom.reads)
    bursts = ceil(rom.reads / words)
    cycles, rest = (ceil(count * rom.bits / 8 / rate) for count in (words, rom.reads - (bursts - 1) * words))
    return Fetch(words, supply.latency, 2 + ceil(supply.latency / cycles), cycles, rest, bursts, demand)
