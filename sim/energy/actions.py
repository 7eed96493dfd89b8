"""What a block does for one token: operations by width, and bits moved by memory. Counted, not estimated.

Every count follows from the operation's integer meaning (``quant/ops``) and the block's folding; what depends on the
data (zero operands, spikes) is counted in the traces. The hardware as built computes on zeros like on any number, so
zeros are reported beside the energy and never subtracted from it.

A memory is read and written in whole words. One that is wider than ``BANK_BITS`` lies in banks side by side, as block
RAMs do: what a bit costs is then set by the size of one bank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.rows import tiling
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops.embedding import BinaryEmbedding
from spikegpt_hls.quant.ops.gate import Gate
from spikegpt_hls.quant.ops.graded_spike import GradedSpike
from spikegpt_hls.quant.ops.layernorm import MANTISSA_FRAC, SEED_FRAC, LayerNorm, seed_table
from spikegpt_hls.quant.ops.lif import LIF
from spikegpt_hls.quant.ops.linear import Linear
from spikegpt_hls.quant.ops.residual import Residual
from spikegpt_hls.quant.ops.sigmoid import Sigmoid
from spikegpt_hls.quant.ops.squared_relu import SquaredReLU
from spikegpt_hls.quant.ops.token_shift import TokenShift
from spikegpt_hls.quant.ops.wkv import BONUS, DECAY_FRAC, EXPONENT, HALVINGS, LOSS, OCTAVE_FRAC, TABLE_FRAC, WKV
from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.traces import rows_read, trace_of

BANK_BITS = 64  # the width of the reads whose energy is cited

#: The constants that may leave the chip (``sim/memory.py``): what their reading is called, by the kind of block.
CONSTANTS = {"Linear": "weights", "BinaryEmbedding": "table"}


@dataclass(frozen=True)
class Action:
    """``count`` times the same thing per token: an operation on ``bits`` (and ``other`` bits, for a product), or the
    transfer of ``bits`` from or to a memory whose banks have ``memory`` bits."""

    kind: str  # add, multiply, compare, shift, divide; read, write; fetch: a read from outside the chip
    what: str
    bits: int
    count: float
    other: int = 0
    memory: int = 0

    @property
    def is_memory(self) -> bool:
        return self.kind in ("read", "write", "fetch")


def bank(words: int, bits: int) -> int:
    """Bits of one bank of a memory with ``words`` words of ``bits``."""
    return words * ceil(bits / ceil(bits / BANK_BITS))


def read(what: str, bits: int, count: float, memory: int) -> Action:
    return Action("read", what, bits, count, memory=memory)


def write(what: str, bits: int, count: float, memory: int) -> Action:
    return Action("write", what, bits, count, memory=memory)


def per_channel(block: Block, bits: int, tokens: int = 1) -> int:
    """One bank of a memory with a word per beat: ``bits`` for each input channel, of ``tokens`` tokens."""
    return bank(tokens * block.operation.n_in // block.lanes, block.lanes * bits)  # type: ignore[union-attr]


def requantized(bits: int, out: Format, count: int) -> Iterator[Action]:
    """Rounding adds one, saturation compares with both ends; the shift is constant, which costs nothing."""
    yield Action("add", "round", bits, count)
    yield Action("compare", "saturate", bits, 2 * count)


def embedding(op: BinaryEmbedding, block: Block) -> Iterator[Action]:
    bus = block.rows.bus if block.rows else 1  # bits that come at once
    yield read("table", 1, ceil(op.channels / bus) * bus, bank(op.vocabulary * op.channels // block.lanes, block.lanes))


def layernorm(op: LayerNorm, block: Block) -> Iterator[Action]:
    c, x, count_bits = op.channels, op.x.bits, op.channels.bit_length()
    tokens = per_channel(block, x, 2)
    yield write("token bank", x, c, tokens)
    yield read("token bank", x, c, tokens)
    yield Action("add", "sum", op.sum_bits, c)
    yield Action("multiply", "square", x, c, other=x)
    yield Action("add", "sum of squares", op.square_bits, c)
    yield Action("multiply", "channels x squares", count_bits, 1, other=op.square_bits)
    yield Action("multiply", "sum squared", op.sum_bits, 1, other=op.sum_bits)
    yield Action("add", "variance", op.variance_bits, 2)
    yield Action("compare", "leading zeros", op.variance_bits, 1)
    yield Action("shift", "mantissa", op.variance_bits, 1)
    yield read("root table", SEED_FRAC + 1, 1, len(seed_table()) * (SEED_FRAC + 1))
    yield Action("multiply", "Newton", MANTISSA_FRAC + 2, 3, other=SEED_FRAC + 1)
    yield Action("add", "Newton", SEED_FRAC + 2, 1)
    yield Action("multiply", "channels x input", count_bits, c, other=x)
    yield Action("add", "deviation", op.deviation_bits, c)
    product = op.deviation_bits + MANTISSA_FRAC + 1
    yield Action("multiply", "deviation x root", op.deviation_bits, c, other=MANTISSA_FRAC + 1)
    yield Action("shift", "normalise", product, c)
    yield from requantized(product, op.norm, c)
    affine = op.gain.bits + op.bias.bits
    yield read("gain and bias", affine, c, per_channel(block, affine, block.layers))
    yield Action("multiply", "gain", op.norm.bits, c, other=op.gain.bits)
    yield Action("add", "bias", op.norm.bits + op.gain.bits, c)
    yield from requantized(op.norm.bits + op.gain.bits, op.out, c)


def token_shift(op: TokenShift, block: Block) -> Iterator[Action]:
    c, x, mu = op.channels, op.x.bits, op.mu.bits
    previous = per_channel(block, x, block.states)
    yield read("previous token", x, c, previous)
    yield write("previous token", x, c, previous)
    yield read("mu", mu, c, per_channel(block, mu, block.layers))
    yield Action("add", "difference", x + 1, c)
    yield Action("multiply", "mu x difference", x + 1, c, other=mu)
    yield Action("add", "mix", x + 1 + mu, c)
    yield from requantized(x + 1 + mu, op.out, c)


def _multiplied(op: Linear, block: Block) -> tuple[int, int, int, int]:
    """Words of the weights' memory, and bits of a weight, an input and a sum, where they are multiplied."""
    if (engine := block.engine) is not None:
        return engine.steps, engine.weight_bits, engine.x_bits, engine.sum_bits
    return block.layers * block.folding.steps, op.weight.bits, op.x.bits, op.accumulator.bits


def _results(op: Linear, total: int, word: int) -> Iterator[Action]:
    """Sums of ``total`` bits wait in result words, a bank of which has ``word`` bits, and are re-quantized."""
    yield write("result words", total, op.outputs, word)
    yield read("result words", total, op.outputs, word)
    if op.out.frac != op.accumulator.frac or op.out.bits < op.accumulator.bits:
        yield from requantized(op.accumulator.bits, op.out, op.outputs)


def linear(op: Linear, block: Block) -> Iterator[Action]:
    """Each weight is read once per token, in the folding's words of PE x SIMD weights; each input once per step. What
    shares the engine moves through its widths, and keeps one result word."""
    folding, products = block.folding, op.inputs * op.outputs
    steps, weight, x, total = _multiplied(op, block)
    tokens = per_channel(block, op.x.bits, 2)
    yield write("token bank", op.x.bits, op.inputs, tokens)
    yield read("token bank", op.x.bits, folding.steps * folding.simd, tokens)
    yield read("weights", weight, products, bank(steps, folding.pe * folding.simd * weight))
    yield Action("multiply", "weight x input", weight, products, other=x)
    yield Action("add", "accumulate", total, products)
    yield from _results(op, total, bank(1 if block.engine else 2, folding.word * total))


def event_linear(op: Linear, block: Block, events: float) -> Iterator[Action]:
    """Of so many inputs that are not 0: each is listed once and read from its list once a row of PE outputs, with its
    value where it has one, and a word of PE weights is read and added for it (zeros, for outputs that there are not);
    inputs of one bit multiply nothing. The rest is ``linear``'s. Every input is looked at once."""
    folding, rows = block.folding, block.folding.rows
    added = events * rows * folding.pe
    place, value = (op.inputs // block.lanes - 1).bit_length(), op.x.bits if op.x.bits > 1 else 0
    weight, total = op.weight.bits, op.accumulator.bits
    lists = bank(4 * op.inputs // block.lanes, place + value)
    yield Action("compare", "scanner", op.x.bits, op.inputs)
    yield write("event lists", place + value, events, lists)
    yield read("event lists", place + value, events * rows, lists)
    yield Action("add", "address", (op.inputs * rows - 1).bit_length(), 2 * events * rows)
    yield read("weights", weight, added, bank(block.layers * op.inputs * rows, folding.pe * weight))
    if value:
        yield Action("multiply", "weight x input", weight, added, other=value)
    yield Action("add", "accumulate", total, added)
    yield from _results(op, total, bank(2, folding.word * total))


def row_linear(op: Linear, block: Block, share: float) -> Iterator[Action]:
    """Of the rows that a token's wave reads from a memory its ``share``: a beat of PE weights at a time, which is
    multiplied and added to a word of sums of each token that there is room for."""
    rows, tiles = block.rows, tiling(block)
    assert rows is not None
    read_weights = share * tiles.beats * rows.pe
    weights = read_weights * rows.batch
    sums = bank(rows.words, rows.pe * rows.sum_bits)
    yield Action("compare", "scanner", op.x.bits, op.inputs * tiles.tiles)
    yield write("wave", op.x.bits, op.inputs, per_channel(block, op.x.bits))
    yield read("wave", op.x.bits, op.inputs * tiles.tiles, per_channel(block, op.x.bits))
    yield Action("fetch", "weights", rows.weight_bits, read_weights)
    yield Action("multiply", "weight x input", rows.weight_bits, weights, other=rows.x_bits)
    yield read("sums", rows.sum_bits, weights, sums)
    yield Action("add", "accumulate", rows.sum_bits, weights)
    yield write("sums", rows.sum_bits, weights, sums)
    yield read("sums", rows.sum_bits, op.outputs, sums)
    yield from requantized(rows.sum_bits + rows.shift, op.out, op.outputs)


def sigmoid(op: Sigmoid, block: Block) -> Iterator[Action]:
    yield read("table", op.out.bits, op.channels, op.out.bits << op.x.bits)


def wkv(op: WKV, block: Block) -> Iterator[Action]:
    c, table = op.channels, TABLE_FRAC + 1
    a, b = op.state_format("a").bits, op.state_format("b").bits
    state, constants = a + b + EXPONENT.bits, LOSS.bits + HALVINGS.bits + BONUS.bits
    exponent = EXPONENT.bits + OCTAVE_FRAC
    states = per_channel(block, state, block.states)
    yield read("state", state, c, states)
    yield write("state", state, c, states)
    yield read("decay and bonus", constants, c, per_channel(block, constants, block.layers))
    yield Action("multiply", "key in octaves", op.k.bits, c, other=op.key_factor.bit_length())
    yield Action("add", "key and bonus", exponent, 2 * c)
    yield read("2**f table", table, 2 * c, table << OCTAVE_FRAC)
    yield Action("multiply", "weight x value", table, 2 * c, other=op.v.bits)
    yield Action("add", "halvings", EXPONENT.bits, c)
    yield Action("compare", "exponents", EXPONENT.bits, 2 * c)
    for name, bits in (("a", a), ("b", b)):
        yield Action("shift", f"align {name}", bits, 4 * c)
        yield Action("add", f"round {name}", bits, 4 * c)
        yield Action("add", f"accumulate {name}", bits, 2 * c)
        yield Action("multiply", f"decay x {name}", bits, c, other=DECAY_FRAC)
        yield Action("shift", f"normalise {name}", bits + DECAY_FRAC, c)
        yield Action("add", f"round normalised {name}", bits, c)
    yield Action("compare", "leading zeros", b + DECAY_FRAC, c)
    yield Action("divide", "quotient", b + 1, c * op.out.bits)
    yield Action("compare", "saturate", op.out.bits + 1, 2 * c)


def gate(op: Gate, block: Block) -> Iterator[Action]:
    yield Action("multiply", "gate", op.r.bits, op.channels, other=op.y.bits)
    yield from requantized(op.r.bits + op.y.bits, op.out, op.channels)


def lif(op: LIF, block: Block) -> Iterator[Action]:
    c, bits = op.channels, op.membrane.bits
    membranes = per_channel(block, bits, block.states)
    yield read("membrane", bits, c, membranes)
    yield write("membrane", bits, c, membranes)
    yield Action("add", "integrate", bits + 1, c)
    yield Action("compare", "threshold", bits, c)


def residual(op: Residual, block: Block) -> Iterator[Action]:
    if op.s.frac > op.x.frac:
        yield Action("add", "round", op.s.bits, op.channels)
    yield Action("add", "residual", op.out.bits + 1, op.channels)
    ends = 2 if op.s.signed else 1  # a spike only ever adds
    yield Action("compare", "saturate", op.out.bits + 1, ends * op.channels)


def squared_relu(op: SquaredReLU, block: Block) -> Iterator[Action]:
    yield Action("multiply", "square", op.x.bits - op.x.signed, op.channels, other=op.x.bits - op.x.signed)
    yield from requantized(2 * op.x.bits, op.out, op.channels)


def graded_spike(op: GradedSpike, block: Block) -> Iterator[Action]:
    bits = op.param_format("theta").bits
    yield read("theta", bits, op.channels, per_channel(block, bits))
    yield Action("add", "threshold", op.x.bits + 1, op.channels)
    yield Action("multiply", "square", bits, op.channels, other=bits)
    yield from requantized(2 * bits + 1, op.out, op.channels)


_ACTIONS: dict[str, Callable[..., Iterator[Action]]] = {
    "BinaryEmbedding": embedding,
    "LayerNorm": layernorm,
    "TokenShift": token_shift,
    "Linear": linear,
    "Sigmoid": sigmoid,
    "WKV": wkv,
    "Gate": gate,
    "LIF": lif,
    "Residual": residual,
    "SquaredReLU": squared_relu,
    "GradedSpike": graded_spike,
}


def actions(
    block: Block,
    timing: Timing,
    outside: bool = False,
    events: float | None = None,
    rows: float | None = None,
) -> tuple[Action, ...]:
    """Everything a block does for one token, the FIFOs at its ports included; ``outside``: its constants (weights, the
    embedding's table) are read from a memory off the chip; ``events``: the inputs that are not 0, on average, of a
    Linear that they drive; ``rows``: of a Linear whose weights lie in a memory, a token's share of those that its wave
    reads."""
    own: tuple[Action, ...] = ()
    if block.rows and isinstance(block.operation, Linear):
        own = tuple(row_linear(block.operation, block, block.channels_in / block.rows.batch if rows is None else rows))
    elif block.events:
        if events is None:
            raise SimulationError(f"the events of a token in {block.name} are not known, so neither is what it spends")
        assert isinstance(block.operation, Linear)
        own = tuple(event_linear(block.operation, block, events))
    elif block.operation is not None:
        if block.kind not in _ACTIONS:
            raise SimulationError(
                f"{block.name}: no actions are known for a {block.kind}; known: {', '.join(_ACTIONS)}"
            )
        own = tuple(_ACTIONS[block.kind](block.operation, block))
    if outside or (block.rows and block.kind == "BinaryEmbedding"):
        own = tuple(_fetched(block, own))
    spent = own + tuple(_fifos(block, timing))
    return tuple(replace(action, count=action.count * block.layers) for action in spent)


def _fetched(block: Block, own: Iterable[Action]) -> Iterator[Action]:
    if block.kind not in CONSTANTS:
        raise SimulationError(f"{block.name} cannot read its constants from off the chip: a {block.kind} has none")
    for action in own:
        constant = action.kind == "read" and action.what == CONSTANTS[block.kind]
        yield replace(action, kind="fetch", memory=0) if constant else action


def _fifos(block: Block, timing: Timing) -> Iterator[Action]:
    for stream, depth, fmt in zip(block.inputs, block.fifo_depths, block.format_in, strict=False):
        memory = bank(depth, block.lanes * fmt.bits)
        yield write(f"input FIFO {stream}", fmt.bits, block.channels_in, memory)
        yield read(f"input FIFO {stream}", fmt.bits, block.channels_in, memory)
    for stream in block.outputs:
        bits = block.format_out.bits
        memory = bank(timing.credits, block.lanes * bits)
        yield write(f"output FIFO {stream}", bits, block.channels_out, memory)
        yield read(f"output FIFO {stream}", bits, block.channels_out, memory)


def activity(dataflow: Dataflow, traces: Mapping[str, Ints]) -> dict[str, dict[str, float]]:
    """Data-dependent counts per token, measured in ``traces`` (block name to (tokens, channels) integers).

    ``zero_operands`` are zeros on the inputs; ``skippable_macs`` the products of a Linear with a zero input, which it
    computes; ``events`` the inputs that are not 0 of one that computes no others; ``spikes`` the ones a LIF or the
    embedding sent, ``rate`` their share.
    """
    counts: dict[str, dict[str, float]] = {}
    for block in dataflow.blocks:
        if block.operation is None:
            continue
        found: dict[str, float] = {}
        sources = [trace_of(dataflow, traces, stream) for stream in block.inputs]
        if block.kind != "BinaryEmbedding":
            found["zero_operands"] = float(sum(_per_token(source == 0) for source in sources))
        if block.rows and block.kind == "Linear":
            found["rows"] = _rows(block, sources[0])
        if block.events:
            found["events"] = block.channels_in - found["zero_operands"]
        elif block.kind == "Linear":
            found["skippable_macs"] = found["zero_operands"] * block.channels_out
        if block.kind in ("LIF", "BinaryEmbedding"):
            found["spikes"] = _per_token(trace_of(dataflow, traces, block.outputs[0]) == 1)
            found["rate"] = found["spikes"] / block.channels_out
        counts[block.name] = found
    return counts


def _rows(block: Block, inputs: Ints) -> float:
    """A token's share of the rows that its wave reads in one layer."""
    nonzero = inputs != 0 if block.events else np.ones_like(inputs, bool)
    return rows_read(block, nonzero) / len(inputs)


def _per_token(hits: np.ndarray) -> float:
    return float(hits.sum()) / len(hits)
