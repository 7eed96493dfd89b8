"""The netlists of the blocks under the benches of their sources: every port stalled, every cycle as simulated."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, LIF, WKV, Gate, LayerNorm, Linear, Operation, SquaredReLU, TokenShift
from spikegpt_hls.rtl_tests.bench import check, random_params, sequences
from spikegpt_hls.rtl_tests.linears import engine
from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.rtl_tests.netlists import lattice
from spikegpt_hls.rtl_tests.netlists.netlist import Edit, flip, gates

LENGTHS = (7, 1, 9)
BYTE = Format(8, 4)


def run(op: Operation, lanes: int, reuse_factor: int = 1, edit: Edit | None = None, events: bool = False) -> None:
    block: Block = single(op, lanes, random_params(op, seed=1), reuse_factor, events=events)
    check(block, sequences(op, LENGTHS, seed=lanes), LENGTHS, build=partial(gates, edit=edit) if edit else gates)


@pytest.mark.parametrize(
    ("op", "lanes"),
    [
        slow(LIF.of(64, Format(8, 6)), 1),
        (LIF.of(8, BYTE), 8),  # one beat a token: the interlock
        slow(TokenShift(BYTE, 48, BYTE, Format(10, 8)), 2),
        (TokenShift(Format(16, 7), 8, Format(4, -2), Format(10, 8)), 8),
        slow(WKV(Format(10, 7), 16, BYTE, Format(8, 5)), 1),
        slow(LayerNorm(BYTE, 16, Format(12, 6), Format(8, 5), Format(16, 10)), 1),  # one multiplier for the statistics
        slow(LayerNorm(BYTE, 16, Format(15, 9), Format(8, 5), Format(16, 10)), 1),  # a sum that is squared apart
        slow(LayerNorm(BYTE, 8, BIT, Format(8, 5), Format(16, 10)), 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Operation) else str(value),
)
def test_gates_pass_the_bench(op: Operation, lanes: int) -> None:
    run(op, lanes)


def test_a_flipped_bit_of_one_lut_is_noticed() -> None:
    with pytest.raises(AssertionError):
        run(LIF.of(8, BYTE), 8, edit=flip("m_axis_tvalid", 0))


def run_routed(
    op: Operation, lanes: int, reuse_factor: int = 1, edit: Edit = lambda text: text, events: bool = False
) -> None:
    """What is placed on an ECP5, its multipliers with the registers that Yosys left outside."""
    block = replace(single(op, lanes, random_params(op, seed=1), reuse_factor, events=events), multiplier=(18, 18))
    streams = sequences(op, LENGTHS, seed=lanes)
    check(block, streams, LENGTHS, build=partial(gates, family=lattice.ECP5, edit=edit))


LINEAR = Linear(Format(8, 3), 16, 16, BYTE, Format(8, 7))


@pytest.mark.parametrize(
    ("op", "lanes", "reuse_factor"),
    [
        slow(LINEAR, 1, 64),
        (Linear(Format(8, 3), 16, 8, Format(8, 8, signed=False), Format(4, 3)), 2, 8),  # rows share a multiplier
        slow(Gate(BYTE, 16, BYTE, BYTE), 2, 1),
        slow(LayerNorm(BYTE, 16, Format(12, 6), Format(8, 5), Format(16, 10)), 1, 1),
        slow(LayerNorm(BYTE, 16, Format(15, 9), Format(8, 5), Format(16, 10)), 1, 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Operation) else str(value),
)
def test_gates_of_an_ecp5_pass_the_bench(op: Operation, lanes: int, reuse_factor: int) -> None:
    run_routed(op, lanes, reuse_factor)


@pytest.mark.parametrize("x", [BIT, slow(Format(8, 4, signed=False))], ids=["bits", "numbers"])
@pytest.mark.parametrize("family", [run, slow(run_routed)], ids=["xc7", "ecp5"])
def test_gates_that_follow_events_pass_the_bench(x: Format, family: Callable[..., None]) -> None:
    family(Linear(Format(8, 3), 16, 16, x, Format(8, 7)), 2, 64, events=True)


@pytest.mark.slow
def test_gates_whose_weights_fill_several_blocks_pass_the_bench() -> None:
    def moved(text: str) -> str:
        assert "memory_register_" in text
        return text

    # 2304 words of 18 bits: three blocks, and a choice among them.
    run_routed(Linear(Format(8, 3), 64, 108, BIT, Format(6, 5)), 2, 2304, edit=moved, events=True)


def test_a_product_that_misses_its_register_is_noticed() -> None:
    with pytest.raises(AssertionError):
        run_routed(LINEAR, 1, 64, edit=lattice.unregistered)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("op", "lanes"),
    [
        (WKV(Format(10, 7), 16, BYTE, Format(8, 5)), 1),
        (LayerNorm(BYTE, 8, BIT, Format(8, 5), Format(16, 10)), 2),
        (TokenShift(Format(16, 7), 8, Format(4, -2), Format(10, 8)), 8),
        (SquaredReLU(BYTE, 16, BYTE), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Operation) else str(value),
)
def test_more_gates_of_an_ecp5_pass_the_bench(op: Operation, lanes: int) -> None:
    run_routed(op, lanes)


@pytest.mark.soak
@pytest.mark.parametrize(("lanes", "bits", "depth"), [(1, 8, 0.0), (2, 4, 0.5), (8, 2, 0.5), (8, 8, 1.0)])
def test_gates_of_a_linear_pass_the_bench(lanes: int, bits: int, depth: float) -> None:
    factors = [factor for factor in legal_factors(64, 64, lanes) if 64**2 // factor <= 64]
    op = Linear(Format(8, 3), 64, 64, BYTE, Format(bits, bits - 1))
    run(op, lanes, factors[round(depth * (len(factors) - 1))])


@pytest.mark.soak
@pytest.mark.parametrize("number", range(len(engine.CASES)))
def test_gates_of_an_engine_with_its_members_pass_the_bench(number: int, tmp_path: Path) -> None:
    engine.run_case(tmp_path, number, build=gates)
