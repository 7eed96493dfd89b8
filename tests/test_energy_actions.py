"""What every operation does for one token of four channels, counted by hand from its equation.

Bits, for a product those of both sides, and how often: see ``quant/ops`` for what they follow from.
"""

import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.hls.rtl.timing import Timing, timing
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import (
    BIT,
    WKV,
    BinaryEmbedding,
    Gate,
    LayerNorm,
    Linear,
    Residual,
    Sigmoid,
    SquaredReLU,
    TokenShift,
)
from spikegpt_hls.sim.energy.actions import Action, actions
from spikegpt_hls.sim.errors import SimulationError

BYTE = Format(8, 4)
FREE = Timing(1, 3)


def own(operation, reuse_factor: int = 1) -> list[Action]:
    """Without the FIFOs at its ports."""
    return [action for action in actions(single(operation, 1, {}, reuse_factor), FREE) if "FIFO" not in action.what]


def told(action: Action) -> str:
    return f"{action.kind} {action.what}: {action.bits}{f'x{action.other}' if action.other else ''} {action.count}"


LAYERNORM = """
write token bank: 10 4
read token bank: 10 4
add sum: 12 4
multiply square: 10x10 4
add sum of squares: 21 4
multiply channels x squares: 3x21 1
multiply sum squared: 12x12 1
add variance: 23 2
compare leading zeros: 23 1
shift mantissa: 23 1
read root table: 16 1
multiply Newton: 18x16 3
add Newton: 17 1
multiply channels x input: 3x10 4
add deviation: 13 4
multiply deviation x root: 13x17 4
shift normalise: 30 4
add round: 30 4
compare saturate: 30 8
read gain and bias: 24 4
multiply gain: 13x8 4
add bias: 21 4
add round: 21 4
compare saturate: 21 8
"""
TOKEN_SHIFT = """
read previous token: 8 4
write previous token: 8 4
read mu: 10 4
add difference: 9 4
multiply mu x difference: 9x10 4
add mix: 19 4
add round: 19 4
compare saturate: 19 8
"""
GATE = "multiply gate: 8x10 4\nadd round: 18 4\ncompare saturate: 18 8"
SQUARED = "multiply square: {0}x{0} 4\nadd round: 16 4\ncompare saturate: 16 8"
NUMBERS = "add round: 8 4\nadd residual: 13 4\ncompare saturate: 13 8"


@pytest.mark.parametrize(
    ("operation", "counted"),
    [
        (BinaryEmbedding(BIT, 16, 4), "read table: 1 4"),
        (LayerNorm(BYTE, 4, Format(10, 5), Format(8, 5), Format(16, 10)), LAYERNORM),
        (TokenShift(BYTE, 4, BYTE, Format(10, 8)), TOKEN_SHIFT),
        (Gate(Format(6, 4), 4, Format(8, 8, signed=False), Format(10, 7)), GATE),
        (SquaredReLU(Format(7, 4, signed=False), 4, BYTE), SQUARED.format(7)),  # no sign is left
        (SquaredReLU(Format(7, 4, signed=False), 4, Format(8, 6, signed=False)), SQUARED.format(8)),
        (Residual(Format(12, 4), 4, Format(11, 4)), "add residual: 13 4\ncompare saturate: 13 4"),  # a spike only adds
        (Residual(Format(12, 4), 4, Format(11, 4), Format(8, 6)), NUMBERS),
        (Residual(Format(12, 4), 4, Format(11, 4), Format(8, 4)), NUMBERS.partition("\n")[2]),  # on the same grid
        (Sigmoid(Format(8, 8, signed=False), 4, Format(7, 4)), "read table: 8 4"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_actions_of_an_operation(operation, counted: str) -> None:
    assert [told(action) for action in own(operation)] == counted.strip().splitlines()


def test_a_wkv_acts_so_often_for_each_channel() -> None:
    """Two sums of two mantissas, one product of either with the decay; its widths are its state's."""
    counts = {(action.kind, action.what): action.count / 4 for action in own(WKV(Format(10, 7), 4, BYTE, Format(6, 5)))}
    assert counts["add", "key and bonus"] == counts["read", "2**f table"] == counts["multiply", "weight x value"] == 2
    assert counts["compare", "exponents"] == counts["compare", "saturate"] == 2
    for name in "ab":
        assert counts["shift", f"align {name}"] == counts["add", f"round {name}"] == 4
        assert counts["add", f"accumulate {name}"] == 2
        assert counts["multiply", f"decay x {name}"] == counts["shift", f"normalise {name}"] == 1
    assert counts["divide", "quotient"] == 10  # a subtraction for each bit of the output
    assert counts["read", "state"] == counts["write", "state"] == 1


def test_a_linear_rounds_and_saturates_unless_its_accumulators_leave() -> None:
    whole = Linear(BIT, 4, 2, BYTE, Format(4, 3)).accumulator
    rounds = {f"add round: {whole.bits} 2", f"compare saturate: {whole.bits} 4"}
    for out, found in ((whole, set()), (Format(whole.bits, whole.frac - 1), rounds), (Format(6, whole.frac), rounds)):
        assert {told(action) for action in own(Linear(out, 4, 2, BYTE, Format(4, 3)), 8)} & rounds == found


def test_fifos_are_written_and_read_once_by_every_beat() -> None:
    """Those in front of a join hold its inputs, the one behind a block its outputs: as deep as its credits."""
    found = actions(single(Gate(Format(6, 4), 4, Format(8, 8, signed=False), Format(10, 7)), 2, {}, depth=5), FREE)
    fifos = [action for action in found if "FIFO" in action.what]
    due = [
        (kind, what, bits, 4, 2 * bits * depth)
        for what, bits, depth in (("input FIFO r", 8, 5), ("input FIFO y", 10, 5), ("output FIFO m_axis", 6, 3))
        for kind in ("write", "read")
    ]
    assert [(a.kind, a.what, a.bits, a.count, a.memory) for a in fifos] == due


@pytest.mark.parametrize("x", [BIT, Format(8, 4, signed=False)])
def test_a_linear_that_is_driven_by_events_spends_by_their_number(x: Format) -> None:
    """8 inputs, 12 outputs in 3 rows of 4, weights of 5 bits: a token of 2.5 events on average adds 30 weights."""
    op = Linear(Format(8, 4), 8, 12, x, Format(5, 4))
    block = single(op, 2, {}, 24, name="key", events=True)
    with pytest.raises(SimulationError, match="the events of a token in key are not known"):
        actions(block, timing(block))
    found = {(a.kind, a.what): (a.bits, a.count) for a in actions(block, timing(block), events=2.5)}
    assert found["read", "weights"] == (5, 30)
    assert found["add", "accumulate"] == (op.accumulator.bits, 30)
    value = 0 if x == BIT else 8
    assert found.get(("multiply", "weight x input")) == ((5, 30) if value else None)
    assert found["write", "event lists"] == (2 + value, 2.5)  # a lane's 4 beats
    assert found["read", "event lists"] == (2 + value, 7.5)
    assert found["compare", "scanner"] == (x.bits, 8)
    assert found["write", "result words"] == found["read", "result words"] == (op.accumulator.bits, 12)
