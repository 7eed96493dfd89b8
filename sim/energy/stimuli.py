"""Three stimuli for one block: silent, typical and saturated; and what the energy model expects of each.

The energy model prices actions, and as many are done whatever the operands are: it ranks no stimuli. Its
activity-scaled compute (``switching.py``) does, and that is what ``rtl_tests/top/toggles.py`` is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.hls.rtl.timing import timing as rtl_timing
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.ops import Operation
from spikegpt_hls.sim.energy.actions import actions
from spikegpt_hls.sim.energy.energy_table import EnergyTable
from spikegpt_hls.sim.energy.model import BlockEnergy
from spikegpt_hls.sim.energy.switching import rates

NAMES = ("silent", "typical", "saturated")
Stimuli = Mapping[str, Sequence[Ints]]  # name to (tokens, channels) integers for each stream


def stimuli(op: Operation, typical: Sequence[Ints]) -> Stimuli:
    """``typical`` operands, as many that are all 0, and as many at the upper end of their format."""
    typical = [np.asarray(stream, np.int64) for stream in typical]  # a trace is as narrow as its format
    silent = [np.zeros_like(stream) for stream in typical]
    pairs = zip(op.streams, typical, strict=True)
    saturated = [np.full_like(stream, op.stream_format(name).hi) for name, stream in pairs]
    return {"silent": silent, "typical": typical, "saturated": saturated}


def random_typical(op: Operation, tokens: int, seed: int = 0) -> list[Ints]:
    """Where no network is at hand: normal operands, whose standard deviation is a quarter of their format's reach."""
    rng = np.random.default_rng(seed)
    formats = [op.stream_format(name) for name in op.streams]
    return [fmt.saturate(np.rint(rng.normal(0, fmt.hi / 4, (tokens, op.n_in))).astype(np.int64)) for fmt in formats]


def expected(
    block: Block,
    streams: Sequence[Ints],
    table: EnergyTable | None = None,
    timing: Callable[[Block], Timing] = rtl_timing,
) -> dict[str, float]:
    """pJ per token of one block under a stimulus: ``compute_pj`` and ``memory_pj``, the same for every stimulus, and
    ``scaled_compute_pj``."""
    table, op = table or EnergyTable.load(), block.operation
    assert op is not None
    wide = [np.asarray(stream, np.int64) for stream in streams]
    output = op(*(stream[None] for stream in wide), **block.params)[0]
    items = tuple((a, a.count * table.pj(a)) for a in actions(block, timing(block)))
    energy = BlockEnergy(block.name, block.kind, items, {})
    scaled = energy.scaled_pj({block.name: rates(block, wide, output)})
    return {"compute_pj": energy.compute_pj, "memory_pj": energy.memory_pj, "scaled_compute_pj": scaled}


def ranked(values: Mapping[str, float]) -> list[str]:
    """The stimuli from the least to the most."""
    return sorted(values, key=values.__getitem__)


def compared(
    block: Block, shown: Stimuli, toggles: Mapping[str, float], table: EnergyTable | None = None
) -> dict[str, Any]:
    """Plain data: RTL ``toggles`` per token and the model's pJ by stimulus, over the typical one's, and ranked."""
    model = {name: expected(block, streams, table) for name, streams in shown.items()}
    scaled = {name: found["scaled_compute_pj"] for name, found in model.items()}
    rows = {
        name: {
            "toggles": toggles[name],
            "toggles_ratio": toggles[name] / toggles["typical"],
            "scaled_compute_pj": scaled[name],
            "model_ratio": scaled[name] / scaled["typical"],
        }
        for name in NAMES
    }
    ranks = ranked(toggles), ranked(scaled)
    return {
        "stimuli": rows,
        "compute_pj": model["typical"]["compute_pj"],
        "memory_pj": model["typical"]["memory_pj"],
        "rtl_rank": ranks[0],
        "model_rank": ranks[1],
        "same_rank": ranks[0] == ranks[1],
    }
