"""The engine in RTL: Linears of several sizes and formats take turns, whatever stalls at their ports; and a whole model
on one engine is PyTorch, every transfer in the simulated cycle."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from spikegpt_hls.hls.convert import convert, operations
from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.rtl.timing import Timing, timing
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.linears.engine import run_case
from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.rtl_tests.top.cosim import Model, compare
from spikegpt_hls.sim.cycles.schedule import Schedule, simulate


def check(number: int, test: str | None = None, flipped: bool = False, edit: tuple[str, str] = ("", "")) -> None:
    """Case ``number`` in its folder; ``flipped``, ``edit``: negative controls."""
    variant = f"{'_flipped' * flipped}{'_edited' * (edit[0] != '')}"
    run_case(BUILD.resolve() / f"engine_{number}{variant}", number, test, flipped, edit)


@pytest.mark.parametrize("number", [0, 1, slow(2), 3, slow(4), slow(5)])
def test_linears_take_turns(number: int) -> None:
    check(number)


def test_a_flipped_weight_is_noticed() -> None:
    """The first weight is that of the member that goes first."""
    with pytest.raises(AssertionError, match="member3, token 0"):
        check(0, "flowing", flipped=True)


def test_a_word_without_room_for_it_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"member\d, token \d"):
        check(0, "blocked", edit=("taken_q != TakenBits'(PLACES)", "taken_q != TakenBits'(PLACES + 1)"))


CONTEXTS = 2
VOCABULARY = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, list[Ints], dict[str, Ints], Any]:
    """A random network of 2 layers on one engine, sequences, PyTorch's traces of them, and the network."""
    work = tmp_path_factory.mktemp("engine")
    network = random_network(2, 8, seed=5, vocabulary=VOCABULARY)
    rng = np.random.default_rng(5)
    ids = [rng.integers(0, VOCABULARY, length) for length in (30, 7, 12, 1, 9)]
    golden = trace(network, ids)
    export(network, work)
    linears = {name: op for name, op in operations(work / "model.onnx").items() if isinstance(op, Linear)}
    factors = {name: op.inputs * op.outputs // 4 for name, op in linears.items()}
    convert(
        work / "model.onnx", work, backend="SpikeRTL", lanes=2, reuse_factor=factors, contexts=CONTEXTS, engine=linears
    ).write()
    made = Model(work / "rtl", work / "run")
    made.build(level=0)
    return made, ids, golden, network


def test_a_model_on_one_engine_is_pytorch(model: tuple[Model, list[Ints], dict[str, Ints], Any]) -> None:
    made, ids, golden, _ = model
    assert len(made.dataflow.members) == 15
    for name, stall in (("flowing", 0), ("stalled", 11), ("stalled_otherwise", 12)):
        run = made.run(name, ids, stall)
        comparison = compare(run, golden)
        assert comparison.mismatches == 0, comparison.first
        assert comparison.compared > 59 * 8 * len(run.dataflow.blocks) / 2
        assert run.counters["busy_cycles"] == 59 * made.dataflow.members[0].engine.steps  # type: ignore[union-attr]


def test_texts_on_one_engine_are_the_integer_models(model: tuple[Model, list[Ints], dict[str, Ints], Any]) -> None:
    from spikegpt_hls.model.sampling import Sampler

    made, _, _, network = model
    settings = [{"seed": seed, "temperature": 0.9, "top_p": 0.95} for seed in range(CONTEXTS)]
    head = made.dataflow.driver[made.dataflow.sink]
    texts = made.generate_all("texts", [3, 1], 6, settings, stall=3)
    for text, setting in zip(texts, settings, strict=True):
        sampler = Sampler(**setting)  # type: ignore[arg-type]
        logits = trace(network, [np.array([3, 1, *text])])[head.name]
        assert text == [sampler.pick(head.format_out.real(row)) for row in logits[1 : 1 + len(text)]]


STALLS = (True, False, False, True, True, True, False)


def assert_every_cycle(made: Model, schedule: Any = simulate) -> None:
    """Prompts and generation, flowing and stalled."""
    ids = [n * 7 % VOCABULARY for n in range(9)]
    for ready in ((True,), STALLS):
        for texts in (0, 1, CONTEXTS):
            moved = made.paced(f"paced{len(ready)}_{texts}", ids, ready, texts).moves()
            start = int(moved[made.dataflow.source][0])
            pattern = [ready[(start + n) % len(ready)] for n in range(len(ready))]
            found: Schedule = schedule(
                made.dataflow, len(ids), sink_ready=pattern, generation=1 if texts else None, contexts=max(texts, 1)
            )
            for stream, cycles in found.times.items():
                assert (moved[stream] - start).tolist() == (cycles - found.first).tolist(), stream


def test_every_transfer_is_in_the_simulated_cycle(model: tuple[Model, list[Ints], dict[str, Ints], Any]) -> None:
    assert_every_cycle(model[0])


def test_a_grant_that_is_one_cycle_off_is_noticed(model: tuple[Model, list[Ints], dict[str, Ints], Any]) -> None:
    def later(block: Block) -> Timing:
        return replace(timing(block), grant=4) if block.engine else timing(block)

    with pytest.raises(AssertionError):
        assert_every_cycle(model[0], partial(simulate, timing=later))
