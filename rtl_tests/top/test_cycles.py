"""The cycle simulator is the RTL: every transfer of every stream of whole models in its very cycle.

Prompts and generation, with and without a fixed pattern of stalls on the logits, over sizes, foldings, lanes and
contexts. Weights do not matter to cycles, so the models are random and as small as their foldings allow.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from spikegpt_hls.hls.convert import reuse_factors
from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.engine import shareable
from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.fold.geometry import assemble
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.hls.rtl.timing import Timing, timing
from spikegpt_hls.hls.rtl.writer import write
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.rtl_tests.top.cosim import Model
from spikegpt_hls.sim.cycles.schedule import Schedule, simulate

MAX_CYCLES = 160  # of a Linear per token
TOKENS = 9
STALLS = (True, False, False, True, True, True, False)
FLOWING = (True,)


@dataclass(frozen=True)
class Size:
    """A model; ``mixed`` seeds a ReuseFactor for each Linear by itself, of all that are legal. An ``engine`` of so many
    multipliers takes about two thirds of those that can share it."""

    layers: int
    channels: int
    lanes: int
    contexts: int
    vocabulary: int
    mixed: int
    engine: int = 0

    def __str__(self) -> str:
        model = f"{self.layers}x{self.channels}-{self.lanes}lanes-{self.contexts}contexts-{self.vocabulary}"
        return f"{model}-{self.mixed}{f'-engine{self.engine}' if self.engine else ''}"


SIZES = (
    Size(1, 8, 1, 1, 16, 0), Size(1, 8, 2, 2, 16, 1), Size(1, 8, 4, 1, 8, 2), Size(1, 8, 8, 3, 8, 3),
    Size(1, 12, 1, 4, 12, 4), Size(1, 12, 2, 1, 24, 5), Size(1, 12, 3, 2, 6, 6), Size(1, 12, 4, 5, 12, 7),
    Size(1, 16, 1, 2, 10, 8), Size(1, 16, 2, 7, 16, 9), Size(1, 16, 4, 1, 32, 10), Size(2, 8, 2, 1, 8, 11),
    Size(1, 12, 1, 2, 12, 12, 6), Size(1, 12, 2, 1, 6, 13, 1), Size(1, 16, 4, 3, 8, 14, 16),
    Size(2, 8, 1, 1, 16, 15, 8),
)  # fmt: skip


def written(size: Size, folder: Path) -> Dataflow:
    """Its RTL, of a dataflow assembled without ONNX, which equals the conversion (``tests/test_geometry.py``)."""
    from spikegpt_hls.quant.network import blocks
    from spikegpt_hls.quant.training.calibrate import random_network

    nodes = {n.name: n for n in blocks(random_network(size.layers, size.channels, size.mixed, 8, size.vocabulary))}
    rng = random.Random(size.mixed)
    factors, members = {}, []
    for name, node in nodes.items():
        if isinstance(op := node.operation, Linear):
            legal = legal_factors(op.inputs, op.outputs, size.lanes)
            factors[name] = rng.choice([f for f in legal if f <= MAX_CYCLES] or legal[:1])
            shared = op.inputs * op.outputs // (size.engine or 1)
            if shared in legal and shareable(single(op, size.lanes, {}, shared)) and size.engine and rng.random() < 0.7:
                factors[name] = shared
                members.append(name)
    assert len(members) > 1 or not size.engine
    network = {name: (node.operation, node.inputs) for name, node in nodes.items()}
    reuse_factors({name: op for name, (op, _) in network.items()}, size.lanes, factors, size.contexts, engine=members)
    flow = assemble(network, size.lanes, factors, size.contexts, engine=members)
    blocks_ = (replace(b, params=nodes[b.name].params) if b.operation else b for b in flow.blocks)
    flow = replace(flow, blocks=tuple(blocks_))
    write(flow, folder)
    return flow


def scheduled(flow: Dataflow, tokens: int, ready: Sequence[bool], texts: int) -> Schedule:
    """What the simulator says of such a run."""
    return simulate(flow, tokens, sink_ready=ready, generation=1 if texts else None, contexts=max(texts, 1))


def assert_every_cycle(size: Size, work: Path) -> int:
    """Transfers compared, over prompts and generation, flowing and stalled."""
    written(size, work / "rtl")
    model = Model(work / "rtl", work / "run")
    model.build(level=0)
    ids = [random.Random(n).randrange(size.vocabulary) for n in range(max(TOKENS, 2 * size.contexts + 1))]
    compared = 0
    for ready in (FLOWING, STALLS):
        for texts in (0, size.contexts):
            run = model.paced(f"run{len(ready)}_{texts}", ids, ready, texts)
            moved = run.moves()
            start = int(moved[run.dataflow.source][0])
            pattern = [ready[(start + n) % len(ready)] for n in range(len(ready))]
            schedule = scheduled(run.dataflow, len(ids), pattern, texts)
            assert set(schedule.times) == set(moved)
            for stream, cycles in schedule.times.items():
                assert (moved[stream] - start).tolist() == (cycles - schedule.first).tolist(), (str(size), stream)
                compared += cycles.size
            assert run.counters["cycles"] == schedule.cycles
    return compared


#: Of them, for `make test`: lanes and contexts of every kind, two layers, and engines with and without contexts.
FEW = tuple(SIZES[n] for n in (2, 5, 7, 11, 12, 14))


@pytest.mark.parametrize("size", [size if size in FEW else slow(size) for size in SIZES], ids=str)
def test_every_transfer_of_every_stream_is_in_the_simulated_cycle(size: Size, tmp_path: Path) -> None:
    assert assert_every_cycle(size, tmp_path) > 1000


@pytest.mark.slow
def test_random_models_too(tmp_path: Path) -> None:
    """Another one at every run; ``CYCLES_SEED`` repeats one that failed."""
    seed = int(os.environ.get("CYCLES_SEED", time.time_ns() // 1000 % 10**9))
    rng = random.Random(seed)
    channels = rng.choice([8, 12, 16, 24])
    lanes = rng.choice([n for n in (1, 2, 3, 4, 6, 8) if channels % n == 0])
    engine = rng.choice([0, lanes, 2 * lanes])
    size = Size(rng.choice([1, 1, 2]), channels, lanes, rng.randint(1, 6), lanes * rng.randint(2, 5), seed, engine)
    print(f"CYCLES_SEED={seed}: {size}")
    assert assert_every_cycle(size, tmp_path) > 1000


def test_a_simulator_that_is_one_cycle_off_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: LIF a cycle slower than it is."""

    def slower(block: Block) -> Timing:
        found = timing(block)
        return replace(found, latency=found.latency + 1, credits=found.credits + 1) if block.kind == "LIF" else found

    monkeypatch.setitem(globals(), "simulate", partial(simulate, timing=slower))
    with pytest.raises(AssertionError, match="lif"):
        assert_every_cycle(SIZES[2], tmp_path)
