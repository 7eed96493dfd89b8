"""How each operation is called in C++: its function, its template arguments, and the arrays that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from spikegpt_hls.hls.fold.folding import fold
from spikegpt_hls.quant.format import Format, Ints, bits_for
from spikegpt_hls.quant.ops import (
    NAMES,
    WKV,
    BinaryEmbedding,
    LayerNorm,
    Linear,
    Operation,
    Sigmoid,
    TokenShift,
)
from spikegpt_hls.quant.ops import layernorm as norm
from spikegpt_hls.quant.ops import wkv as mean

SOURCES = Path(__file__).parent
#: The operations that have a header here.
IMPLEMENTED = tuple(kind for kind, name in NAMES.items() if (SOURCES / f"{name}.h").is_file())


@dataclass(frozen=True)
class Array:
    """Raw integers that a kernel reads, in the order in which it reads them."""

    values: Ints
    bits: int
    signed: bool


@dataclass(frozen=True)
class Kernel:
    """``function<..., config>(streams..., arrays...)``, where the config has ``arguments`` in their order."""

    function: str
    arguments: Mapping[str, int]
    arrays: Mapping[str, Array] = field(default_factory=dict)

    @property
    def header(self) -> str:
        return f"{self.function}.h"

    def config(self, name: str) -> str:
        """The C++ type that carries the arguments. Layers of one shape share it, and so the compiled kernel."""
        arguments = ", ".join(f"{value} /* {argument} */" for argument, value in self.arguments.items())
        return f"typedef nnet::{self.function}_config<{arguments}> {name};\n"


def kernel(op: Operation, params: Mapping[str, Ints], lanes: int, reuse_factor: int, index: int) -> Kernel:
    """The kernel of an operation. ``index`` is unique in the model, and keeps the states of layers apart."""
    arguments, arrays = _DETAILS.get(type(op), _plain)(op, params, lanes, reuse_factor, index)
    return Kernel(NAMES[type(op).__name__], arguments, arrays)


def _array(values: Ints, fmt: Format) -> Array:
    return Array(values, fmt.bits, fmt.signed)


def _params(op: Operation, params: Mapping[str, Ints]) -> dict[str, Array]:
    return {name: _array(params[name], op.param_format(name)) for name in op.params}


Details = tuple[dict[str, int], dict[str, Array]]


def _plain(op: Operation, params: Mapping[str, Ints], _lanes: int, _reuse: int, index: int) -> Details:
    """The integers among its attributes, behind what keeps its state apart; its parameters."""
    values = {"id": index} if op.state else {}
    values |= {name: value for field in fields(op) if isinstance(value := getattr(op, name := field.name), int)}
    return values, _params(op, params)


def _embedding(op: BinaryEmbedding, params: Mapping[str, Ints], lanes: int, *_: Any) -> Details:
    places = np.array([1 << lane for lane in range(lanes)], np.int64 if lanes < 63 else object)
    words = params["table"].reshape(op.vocabulary, -1, lanes) @ places
    return {"vocabulary": op.vocabulary, "channels": op.channels}, {"table": Array(words, lanes, False)}


def _layernorm(op: LayerNorm, params: Mapping[str, Ints], *_: Any) -> Details:
    arguments = {
        "channels": op.channels,
        "sum_bits": op.sum_bits,
        "square_bits": op.square_bits,
        "variance_bits": op.variance_bits,
        "deviation_bits": op.deviation_bits,
        "norm_bits": op.norm.bits,
        "norm_frac": op.norm.frac,
        "mantissa_frac": norm.MANTISSA_FRAC,
        "seed_frac": norm.SEED_FRAC,
        "index_shift": norm.INDEX_SHIFT,
        "gain_frac": op.gain.frac,
        "bias_frac": op.bias.frac,
        "epsilon": op.epsilon,
    }
    seeds = Array(norm.seed_table(), norm.SEED_FRAC, False)
    return arguments, {**_params(op, params), "seeds": seeds}


def _token_shift(op: TokenShift, params: Mapping[str, Ints], _lanes: int, _reuse: int, index: int) -> Details:
    return {"id": index, "channels": op.channels, "mu_frac": op.mu.frac}, _params(op, params)


def _linear(op: Linear, params: Mapping[str, Ints], lanes: int, reuse_factor: int, _index: int) -> Details:
    simd, pe, word, *_ = fold(op, lanes, reuse_factor)
    arguments = {
        "inputs": op.inputs,
        "outputs": op.outputs,
        "simd": simd,
        "pe": pe,
        "word": word,
        "accumulator_bits": op.accumulator.bits,
        "accumulator_frac": op.accumulator.frac,
    }
    tiles = params["weight"].reshape(op.outputs // pe, pe, op.inputs // simd, simd)
    return arguments, {"weight": _array(tiles.transpose(0, 2, 1, 3), op.weight)}


def _sigmoid(op: Sigmoid, *_: Any) -> Details:
    return {"channels": op.channels, "lo": op.x.lo}, {"table": _array(op.table(), op.out)}


def _wkv(op: WKV, params: Mapping[str, Ints], _lanes: int, _reuse: int, index: int) -> Details:
    lo, hi = op.octaves(np.array([op.k.lo, op.k.hi])).tolist()
    arguments = {
        "id": index,
        "channels": op.channels,
        "a_bits": op.state_format("a").bits,
        "b_bits": op.state_format("b").bits,
        "exponent_bits": op.state_format("exponent").bits,
        "key_bits": bits_for(lo + mean.BONUS.lo, hi + mean.BONUS.hi),
        "mantissa_bits": mean.MANTISSA_BITS,
        "decay_frac": mean.DECAY_FRAC,
        "octave_frac": mean.OCTAVE_FRAC,
        "table_frac": mean.TABLE_FRAC,
        "key_shift": mean.KEY_SHIFT,
        "key_factor": op.key_factor,
        "empty": mean.EMPTY,
    }
    return arguments, {**_params(op, params), "exp2": Array(mean.exp2_table(), mean.TABLE_FRAC + 1, False)}


_DETAILS: dict[type[Operation], Callable[..., Details]] = {
    BinaryEmbedding: _embedding,
    LayerNorm: _layernorm,
    TokenShift: _token_shift,
    Linear: _linear,
    Sigmoid: _sigmoid,
    WKV: _wkv,
}
