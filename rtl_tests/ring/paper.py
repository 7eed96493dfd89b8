"""The geometry of the paper's 46M as RTL, with random weights: ``python -m spikegpt_hls.rtl_tests.ring.paper FOLDER``.

A number behind the folder is that of the tokens. Every value is compared with PyTorch's, every transfer with the cycle
simulator's; then comes what the simulator says of other batches, of rows that events choose and of all rows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.fold.rows import of_batch
from spikegpt_hls.hls.memory import Layout
from spikegpt_hls.rtl_tests.ring.folded import Folded, assert_cycles, folded
from spikegpt_hls.sim.cycles.schedule import simulate
from spikegpt_hls.sim.dram import rows_opened
from spikegpt_hls.sim.energy.model import energy
from spikegpt_hls.sim.rates import on_boards
from spikegpt_hls.sim.traces import Asked, asked

LAYERS, CHANNELS, VOCABULARY, WEIGHT_BITS, LANES = 12, 512, 5458, 4, 4
LATENCY, BATCHES, TOKENS = 20, (1, 2, 4, 8), 64


def table(ring: Folded) -> Iterator[str]:
    """Derived: cycles and bytes of a token by batch, and what boards make of them, none of which was run."""
    tokens = sum(map(len, ring.sequences))
    for dense in (False, True):
        for batch in BATCHES:
            dataflow = of_batch(ring.model.dataflow, batch)
            if dense:
                dataflow = replace(dataflow, blocks=tuple(replace(b, events=False) for b in dataflow.blocks))
            reads = asked(dataflow, ring.golden, np.arange(tokens), LATENCY)
            cycles = simulate(dataflow, tokens, asked=reads).cycles / tokens
            moved = energy(dataflow, ring.golden).offchip_bytes
            share = moved * 8 / dataflow.blocks[0].rows.bus / cycles  # type: ignore[union-attr]
            kind = "all rows" if dense else "of events"
            yield f"{kind}, batch {batch}: {cycles:,.0f} cycles, {moved / 1e6:.2f} MB, bus {share:.1%}"
            assert reads is not None
            opened = partial(_opened, dataflow, reads, tokens)
            bus, image = dataflow.blocks[0].rows.bus, Layout(dataflow).size  # type: ignore[union-attr]
            boards = on_boards(cycles, moved, bus, image, opened, not dense).values()
            yield "    tokens/s: " + ", ".join(f"{row['board']} {row['tokens_per_s']:,.1f}" for row in boards)


def _opened(dataflow: Dataflow, reads: Asked, tokens: int, page: int) -> float:
    return rows_opened(dataflow, reads, page) / tokens


def main(folder: Path, tokens: int) -> None:
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {text}", flush=True)

    say(f"{LAYERS} layers x {CHANNELS}, vocabulary {VOCABULARY}, {WEIGHT_BITS} bits, random, spike-driven")
    ring = folded(
        folder, LAYERS, CHANNELS, LANES, vocabulary=VOCABULARY, lengths=(tokens // 2, tokens - tokens // 2), level=2,
        placement="spike-driven", weight_bits=WEIGHT_BITS, weights="memory",
    )  # fmt: skip
    say(f"built; {tokens} tokens go through the RTL")
    run, comparison = ring.run("flowing", memory=[f"+LATENCY={LATENCY}"])
    say(f"{comparison.mismatches} of {comparison.compared:,} values differ from PyTorch's (measured)")
    assert comparison.mismatches == 0, comparison.first
    beats, cycles = run.counters["memory_beats"], run.counters["cycles"]
    say(f"{cycles / tokens:,.0f} cycles per token, the bus moves {beats / cycles:.1%} of the time (measured)")
    assert_cycles(run, ring.schedule(LATENCY))
    say("every transfer is in its simulated cycle; other batches (derived), per token:")
    for line in table(ring):
        say(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else TOKENS)
