"""How much of what an operation works on changes from one step to the next: measured bit toggles, by action.

The energy of logic is that of its switching, and a cited energy is that of some operands; here it is taken as that of
random ones, half of whose bits change from one to the next (an assumption: the source does not say). The
activity-scaled energy of an action is its energy times ``rate / RANDOM``, with ``rate`` the share of bits that change
at its ports, the operands and the result, from one step to the next on the same piece of hardware: tokens in order,
within a token beats, within a beat lanes side by side; a Linear's products in the order of its folding. Before the
first step all is 0. Where an action's own values are not computed here, it takes the rate of its block's streams.
Memories are not scaled: theirs is the energy of a read, whatever is read.

This is a report beside the energy, not the energy: registers, wires and glitches have no price here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.operation.base import State
from spikegpt_hls.quant.ops import LIF, WKV, Linear
from spikegpt_hls.quant.ops.wkv import BONUS, LOSS, OCTAVE_FRAC, TABLE_FRAC, exp2_table
from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.traces import trace_of

RANDOM = 0.5  # share of the bits of a random word that differ from those of the word before
SAMPLE = 32  # tokens: a Linear's products are computed one by one
PRODUCTS = 1 << 22  # of a Linear; where there are more in the sample, those of its first outputs stand for all

Words = tuple[Ints, int]  # (steps, side by side), and the bits of each


@dataclass(frozen=True)
class Rates:
    """Share of bits that change, of a block's actions by name, and of its streams."""

    actions: Mapping[str, float]
    streams: float

    def of(self, what: str) -> float:
        return self.actions.get(what, self.streams)


Switching = Mapping[str, Rates]  # by block


def toggle_rate(words: Sequence[Words]) -> float:
    """Bits that change from one step to the next, of all bits; from 0 at the first step."""
    changes = ((np.diff(w, axis=0, prepend=0), w, bits) for w, bits in words)
    toggles = sum(int(np.bitwise_count((w ^ (w - step)) & ((1 << bits) - 1)).sum()) for step, w, bits in changes)
    return toggles / max(1, sum(w.size * bits for w, bits in words))  # no step: nothing changes


def in_beats(values: Ints, lanes: int) -> Ints:
    """(tokens, channels) as the stream carries them: (beats, lanes), the last of a token filled up with zeros."""
    whole = np.pad(np.asarray(values, np.int64), ((0, 0), (0, -np.shape(values)[1] % lanes)))
    return whole.reshape(-1, lanes)


Ports = Iterator[tuple[str, list[Words]]]  # of each action by name: operands and result


def linear(op: Linear, block: Block, streams: Sequence[Ints]) -> Ports:
    """``x`` goes to all PE rows: its bits are those of one port."""
    simd, pe, *_ = block.folding
    groups = min(op.outputs // pe, max(1, PRODUCTS // (len(streams[0]) * op.inputs * pe)))
    rows = np.reshape(block.params["weight"][: groups * pe], (groups, pe, op.inputs // simd, simd))
    weight = rows.transpose(0, 2, 1, 3)
    x = np.reshape(streams[0], (-1, 1, op.inputs // simd, 1, simd))
    products = x * weight  # (tokens, groups, steps, PE, SIMD)
    xs, weights = (np.broadcast_to(v, products.shape).reshape(-1, pe * simd) for v in (x, weight))
    made = products.reshape(-1, pe * simd), op.weight.bits + op.x.bits
    yield "weight x input", [(xs, op.x.bits), (weights, op.weight.bits), made]
    yield "accumulate", [made, (products.sum(-1).cumsum(2).reshape(-1, pe), op.accumulator.bits)]


def event_linear(op: Linear, block: Block, streams: Sequence[Ints]) -> Ports:
    """Row by row of a token, lane by lane, the weights of each input that is not 0."""
    pe, x = block.folding.pe, np.reshape(streams[0], (len(streams[0]), -1, block.lanes)).transpose(0, 2, 1)
    weight = np.pad(block.params["weight"], ((0, block.folding.rows * pe - op.outputs), (0, 0)))
    columns = np.reshape(weight.T, (-1, block.lanes, block.folding.rows, pe)).swapaxes(0, 1)
    values, weights, products, sums = [], [], [], []
    for token in x:
        events = token != 0
        rows = columns[events].swapaxes(0, 1)  # (rows, events, PE)
        value = np.broadcast_to(token[events][None, :, None], (*rows.shape[:2], 1))
        values.append(value.reshape(-1, 1))
        weights.append(rows.reshape(-1, pe))
        products.append((rows * value).reshape(-1, pe))
        sums.append((rows * value).cumsum(1).reshape(-1, pe))
    read, added = (np.concatenate(weights), op.weight.bits), (np.concatenate(sums), op.accumulator.bits)
    if op.x.bits > 1:
        made = np.concatenate(products), op.weight.bits + op.x.bits
        yield "weight x input", [(np.concatenate(values), op.x.bits), read, made]
        yield "accumulate", [made, added]
    else:
        yield "accumulate", [read, added]


def lif(op: LIF, block: Block, streams: Sequence[Ints]) -> Ports:
    x = streams[0].astype(np.int64) << (op.membrane.frac - op.current.frac)
    before = _states(block, streams)["membrane"][:-1]
    bits = op.membrane.bits
    charge = in_beats((before + x) >> 1, block.lanes), bits
    operands = [(in_beats(streams[0], block.lanes), op.x.bits), (in_beats(before, block.lanes), bits)]
    yield "integrate", [*operands, charge]
    yield "threshold", [charge, ((charge[0] >= op.threshold).astype(np.int64), 1)]


def wkv(op: WKV, block: Block, streams: Sequence[Ints]) -> Ports:
    after = _states(block, streams)

    def words(values: Ints, bits: int) -> Words:
        return in_beats(np.broadcast_to(values, streams[0].shape), block.lanes), bits

    octaves = op.octaves(streams[0].astype(np.int64))
    weight = exp2_table()[octaves & ((1 << OCTAVE_FRAC) - 1)]
    key, value = words(octaves, op.k.bits + OCTAVE_FRAC), words(streams[1], op.v.bits)
    yield "key in octaves", [words(streams[0], op.k.bits), key]
    yield "key and bonus", [key, words(block.params["bonus"], BONUS.bits)]
    product = words(weight * streams[1], TABLE_FRAC + 1 + op.v.bits)
    yield "weight x value", [words(weight, TABLE_FRAC + 1), value, product]
    for name in "ab":
        bits = op.state_format(name).bits
        before, now = words(after[name][:-1], bits), words(after[name][1:], bits)
        for what in ("align", "round", "accumulate", "normalise", "round normalised"):
            yield f"{what} {name}", [before, now]
        yield f"decay x {name}", [before, words(block.params["loss"], LOSS.bits), now]


_PORTS = {"Linear": linear, "LIF": lif, "WKV": wkv}


def _states(block: Block, streams: Sequence[Ints]) -> dict[str, Ints]:
    """The states before the first token and after each: (tokens + 1, channels)."""
    op = block.operation
    assert op is not None
    states: list[State] = [op.initial_state(1)]
    for t in range(len(streams[0])):
        token = [np.asarray(stream[t], np.int64)[None, None] for stream in streams]
        states.append(op.run(token, block.params, states[-1])[1])
    return {name: np.concatenate([state[name] for state in states]) for name in op.state}


def rates(block: Block, streams: Sequence[Ints], output: Ints) -> Rates:
    """Of one block, for (tokens, channels) integers of a single sequence from its start."""
    if lacking := [name for name in block.operation.params if name not in block.params] if block.operation else []:
        raise SimulationError(f"{block.name}: the switching of a {block.kind} needs its {' and '.join(lacking)}")
    own = event_linear if block.events else _PORTS.get(block.kind)
    found: dict[str, float] = {}
    if own is not None:
        found = {what: toggle_rate(words) for what, words in own(block.operation, block, streams)}  # type: ignore[operator]
    ports: list[tuple[Ints, Format]] = [*zip(streams, block.format_in, strict=True), (output, block.format_out)]
    return Rates(found, toggle_rate([(in_beats(v, min(block.lanes, v.shape[1])), fmt.bits) for v, fmt in ports]))


def switching(dataflow: Dataflow, traces: Mapping[str, Ints], tokens: int = SAMPLE) -> Switching:
    """Of every block, for the first ``tokens`` tokens of ``traces``, which are one sequence from its start."""
    made = {}
    for block in dataflow.blocks:
        if block.operation is not None:
            streams = [trace_of(dataflow, traces, stream)[:tokens] for stream in block.inputs]
            made[block.name] = rates(block, streams, trace_of(dataflow, traces, block.outputs[0])[:tokens])
        else:
            copied = trace_of(dataflow, traces, block.inputs[0])[:tokens]
            made[block.name] = rates(block, [copied], copied)
    return made
