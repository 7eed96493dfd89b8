"""Every C++ kernel equals the integer meaning of its operation, by ``==``, whatever the sequences."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikegpt_hls.hls.fold.folding import fold, legal_factors
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import (
    BIT,
    LIF,
    WKV,
    BinaryEmbedding,
    Gate,
    LayerNorm,
    Linear,
    Operation,
    Residual,
    Sigmoid,
    SquaredReLU,
    TokenShift,
)
from spikegpt_hls.rtl_tests.corners import CORNERS
from vitis_kernels import Case, Corner, compile_cases, run

CHANNELS, LANES, WEIGHT_BITS = (8, 48, 64, 96), (1, 2, 8), (2, 4, 8)
X, U = Format(8, 4), Format(8, 8, signed=False)


def operations(c: int) -> Iterator[Operation]:
    """Every operation but Linear, at ``c`` channels, rounding, saturating and widening."""
    yield BinaryEmbedding(BIT, 11, c)
    yield LayerNorm(X, c, X, Format(8, 5), Format(8, 5))
    yield LayerNorm(X, c, BIT, Format(8, 5), Format(16, 10))
    yield TokenShift(X, c, X, U)
    yield Sigmoid(U, c, X)
    yield WKV(Format(9, 6), c, X, X)
    yield WKV(Format(8, 4), c, Format(8, 2), Format(8, 4))
    yield WKV(Format(10, 10, signed=False), c, Format(8, 0), U)
    yield Gate(X, c, U, Format(9, 6))
    yield from (LIF.of(c, x) for x in (X, Format(8, 4, signed=False), Format(6, -1), Format(8, 9)))
    yield SquaredReLU(Format(8, 3, signed=False), c, X)
    yield SquaredReLU(Format(8, 4, signed=False), c, Format(8, 5, signed=False))
    yield Residual(Format(9, 4), c, X)
    yield Residual(X, c, X)
    yield Residual(X, c, X, Format(8, 2))
    yield Residual(Format(9, 1), c, Format(8, 1), X)


def linears(c: int, lanes: int, bits: int) -> Iterator[Case]:
    """Re-quantized, and as accumulators; one multiplier, fewer than lanes, and many."""
    square = Linear(Format(8, 3), c, c, X, Format(bits, bits - 1))
    factors = legal_factors(c, c, lanes)
    yield Case(square, lanes, factors[len(factors) // 2])
    wide = Linear(X, c, 4 * c, Format(8, 4, signed=False), Format(bits, bits - 1))
    yield Case(replace(wide, out=wide.accumulator), lanes, legal_factors(c, 4 * c, lanes)[-1])


def covering() -> list[Case]:
    """Each channel count, lane count and weight width at least once; every pair of a weight and an input."""
    cases = [Case(op, lanes) for c, lanes in zip(CHANNELS, (1, 2, 8, 8), strict=True) for op in operations(c)]
    cases += [Case(WKV(Format(9, 6), 8, X, X), 8, huge_keys=True)]
    for c, lanes, bits in ((8, 2, 2), (48, 8, 4), (64, 1, 8), (96, 8, 2)):
        cases += linears(c, lanes, bits)
    pairs = Linear(X, 8, 256, X, Format(8, 7))
    return [*cases, Case(replace(pairs, out=pairs.accumulator), 8, legal_factors(8, 256, 8)[0])]


def full_grid() -> list[Case]:
    cases = [Case(op, lanes) for c in CHANNELS for lanes in LANES for op in operations(c)]
    return cases + [
        case for c in CHANNELS for lanes in LANES for bits in WEIGHT_BITS for case in linears(c, lanes, bits)
    ]


COVERING = covering()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compile_cases(COVERING, tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("index", range(len(COVERING)), ids=[f"{i}-{case}" for i, case in enumerate(COVERING)])
def test_kernel_equals_numpy(library: ctypes.CDLL, index: int) -> None:
    case = COVERING[index]
    np.testing.assert_array_equal(run(library, index, case), case.expected())


def test_kernels_equal_numpy_at_the_corners_of_the_schema(tmp_path: Path) -> None:
    cases = [Corner.of(op) for op in CORNERS]
    compiled = compile_cases(cases, tmp_path)
    for index, case in enumerate(cases):
        np.testing.assert_array_equal(run(compiled, index, case), case.expected(), str(case.op))


@pytest.mark.soak
@pytest.mark.parametrize("channels", CHANNELS)
def test_kernel_equals_numpy_on_the_full_grid(tmp_path: Path, channels: int) -> None:
    cases = [case for case in full_grid() if case.op.n_in == channels]
    library = compile_cases(cases, tmp_path)
    for index, case in enumerate(cases):
        np.testing.assert_array_equal(run(library, index, case), case.expected(), str(case))


def test_each_pair_of_a_weight_and_an_input_is_met() -> None:
    case = COVERING[-1]
    weights, x = case.params["weight"], np.concatenate([streams[0][0] for streams in case.streams])
    met = {(w, int(v)) for i in range(8) for w in weights[:, i].tolist() for v in np.unique(x[:, i])}
    assert len(met) == 255 * 256


def test_every_value_of_an_8_bit_input_is_met() -> None:
    for case in COVERING:
        for port, name in enumerate(case.op.streams):
            fmt = case.op.stream_format(name)
            seen = np.unique(np.concatenate([np.ravel(streams[port]) for streams in case.streams]))
            if name != "ids" and not case.huge_keys and fmt.bits <= 8:
                assert len(seen) == fmt.hi - fmt.lo + 1, (str(case), name)


def test_the_covering_cases_fold_in_every_way() -> None:
    """SIMD below the lanes, one output at a time, and several."""
    foldings = [
        (fold(case.op, case.lanes, case.reuse_factor), case.lanes) for case in COVERING if isinstance(case.op, Linear)
    ]
    assert any(folding.simd < lanes for folding, lanes in foldings)
    assert any(folding.simd == lanes and folding.pe > 1 for folding, lanes in foldings)
    assert any(folding.word > lanes for folding, lanes in foldings)
