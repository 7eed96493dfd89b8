"""Operations as rows of a compiled program: the name of a kernel in ``operations.cpp`` and what it is given.

An operation without a row here, or whose numbers are wider than its kernel's, is run by its meaning instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.quant import ops
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops import layernorm

#: A kernel's name, the parameters it reads, and its numbers behind the sizes.
Row = tuple[str, tuple[NDArray, ...], tuple[int, ...]]


def row(operation: ops.Operation, params: Mapping[str, Ints]) -> Row | None:
    """None: by its meaning."""
    made = ROWS.get(type(operation))
    return made(operation, params) if made else None


def requantize(frac: int, out: Format) -> tuple[int, int, int]:
    """The numbers that bring a grid of ``frac`` to ``out``."""
    return frac - out.frac, out.lo, out.hi


def _embedding(o: ops.BinaryEmbedding, params: Mapping[str, Ints]) -> Row:
    return "embedding", (np.ascontiguousarray(params["table"], np.int8),), (o.channels,)


def _layer_norm(o: ops.LayerNorm, params: Mapping[str, Ints]) -> Row:
    frac = layernorm.NORM_FRAC + o.gain.frac
    bias = params["bias"] << (frac - o.bias.frac)
    root = o.epsilon, layernorm.MANTISSA_FRAC, layernorm.SEED_FRAC, layernorm.INDEX_SHIFT
    norm = layernorm.NORM_FRAC, o.norm.lo, o.norm.hi
    arrays = np.ascontiguousarray(params["gain"], np.int32), bias, layernorm.seed_table()
    return "layer_norm", arrays, (o.channels, *root, *norm, *requantize(frac, o.out))


def _token_shift(o: ops.TokenShift, params: Mapping[str, Ints]) -> Row:
    numbers = o.channels, o.mu.frac, *requantize(o.x.frac + o.mu.frac, o.out)
    return "token_shift", (np.ascontiguousarray(params["mu"], np.int32),), numbers


def _linear(o: ops.Linear, params: Mapping[str, Ints]) -> Row | None:
    if o.weight.bits > 8 or o.x.hi >= 1 << 15 or o.accumulator.bits > 32:
        return None
    numbers = o.inputs, o.outputs, *requantize(o.accumulator.frac, o.out)
    return "linear", (np.ascontiguousarray(params["weight"], np.int8),), numbers


def _sigmoid(o: ops.Sigmoid, params: Mapping[str, Ints]) -> Row:
    return "sigmoid", (np.ascontiguousarray(o.table(), np.int32),), (o.channels, o.x.lo)


def _gate(o: ops.Gate, params: Mapping[str, Ints]) -> Row:
    return "gate", (), (o.channels, *requantize(o.r.frac + o.y.frac, o.out))


def _squared_relu(o: ops.SquaredReLU, params: Mapping[str, Ints]) -> Row:
    return "squared_relu", (), (o.channels, *requantize(2 * o.x.frac, o.out))


def _graded_spike(o: ops.GradedSpike, params: Mapping[str, Ints]) -> Row:
    theta = np.ascontiguousarray(params["theta"], np.int32)
    return "graded_spike", (theta,), (o.channels, *requantize(2 * o.x.frac, o.out))


def _lif(o: ops.LIF, params: Mapping[str, Ints]) -> Row:
    return "lif", (), (o.channels, o.membrane.frac - o.current.frac, o.threshold)


def _residual(o: ops.Residual, params: Mapping[str, Ints]) -> Row:
    return "residual", (), (o.channels, *requantize(o.s.frac, o.out))


ROWS: dict[type[ops.Operation], Callable[[Any, Mapping[str, Ints]], Row | None]] = {
    ops.BinaryEmbedding: _embedding,
    ops.LayerNorm: _layer_norm,
    ops.TokenShift: _token_shift,
    ops.Linear: _linear,
    ops.Sigmoid: _sigmoid,
    ops.Gate: _gate,
    ops.SquaredReLU: _squared_relu,
    ops.GradedSpike: _graded_spike,
    ops.LIF: _lif,
    ops.Residual: _residual,
}
