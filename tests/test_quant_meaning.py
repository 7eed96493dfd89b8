"""The integer meaning against what it means: exact fractions, and for the normalised value float64 with a bound.

Elsewhere the meaning is what everything else must equal; here it is held to the equations themselves.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from spikegpt_hls.quant import ops
from spikegpt_hls.quant.format import ExactnessError, Format, bits_for, requantize, shift_half_even, shift_half_up
from spikegpt_hls.quant.ops.layernorm import reciprocal_root

FORMATS = [Format(4, 1), Format(4, 0, signed=False), Format(1, 0, signed=False), Format(3, -2), Format(5, 6)]
INTEGERS = np.arange(-70, 71)


def held(fmt: Format, real: Fraction) -> int:
    """The nearest integer of a format to a real number: ties to even, its ends for what is outside."""
    return min(max(round(real * Fraction(2) ** fmt.frac), least(fmt)), most(fmt))


def least(fmt: Format) -> int:
    return -(2 ** (fmt.bits - 1)) if fmt.signed else 0


def most(fmt: Format) -> int:
    return 2 ** (fmt.bits - 1) - 1 if fmt.signed else 2**fmt.bits - 1


def fractions(fmt: Format, integers: np.ndarray) -> list[Fraction]:
    return [int(n) / Fraction(2) ** fmt.frac for n in integers]


@pytest.mark.parametrize("shift", range(-3, 6))
def test_shifts_round_to_even_and_up(shift: int) -> None:
    exact = [n / Fraction(2) ** shift for n in INTEGERS.tolist()]
    assert shift_half_even(INTEGERS, shift).tolist() == [round(x) for x in exact]
    if shift >= 0:
        assert shift_half_up(INTEGERS, np.asarray(shift)).tolist() == [floor(x + Fraction(1, 2)) for x in exact]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_a_format_holds_the_nearest_number_and_at_its_ends_the_ends(fmt: Format) -> None:
    assert (fmt.lo, fmt.hi) == (least(fmt), most(fmt))
    halves = INTEGERS / 2  # every tie, and far beyond both ends
    reals = [Fraction(float(x)) / Fraction(2) ** fmt.frac for x in halves]
    assert fmt.quantize(np.array([float(x) for x in reals])).tolist() == [held(fmt, x) for x in reals]
    assert requantize(INTEGERS, fmt.frac + 1, fmt).tolist() == [held(fmt, x) for x in reals]
    inside = np.arange(fmt.lo, fmt.hi + 1)
    assert fmt.integers(fmt.real(inside)).tolist() == inside.tolist()
    for outside in (fmt.lo - 1, fmt.hi + 1):
        with pytest.raises(ExactnessError, match="holds"):
            fmt.integers(fmt.real(np.array([outside])))


def test_the_narrowest_width_holds_both_ends() -> None:
    for low, high in [(-8, 7), (-9, 7), (-8, 8), (0, 7), (0, 8), (-1, 0), (0, 0), (-1, 1), (-2, 1)]:
        bits = bits_for(low, high)
        assert -(2 ** (bits - 1)) <= low <= high < 2 ** (bits - 1)
        assert bits == 1 or not -(2 ** (bits - 2)) <= low <= high < 2 ** (bits - 2)


def every(fmt: Format) -> np.ndarray:
    return np.arange(least(fmt), most(fmt) + 1)


def pairs(one: Format, other: Format) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of two formats' numbers, as streams of one channel."""
    first, second = np.meshgrid(every(one), every(other))
    return first.reshape(1, -1, 1), second.reshape(1, -1, 1)


@pytest.mark.parametrize("signed", [True, False])
def test_products_and_sums_are_rounded_once(signed: bool) -> None:
    a, b = Format(5, 3), Format(5, 4, signed)
    first, second = pairs(a, b)
    reals = list(zip(fractions(a, first.ravel()), fractions(b, second.ravel()), strict=True))
    for out in (Format(4, 2), Format(6, 8), Format(3, 1, signed=False)):
        gate = ops.Gate(out, 1, a, b)(first, second)
        assert gate.ravel().tolist() == [held(out, x * y) for x, y in reals]
    for bits in (4, 5, 8):
        sums = ops.Residual(Format(bits, 3), 1, a, b)(first, second).ravel().tolist()
        due = [round(y * 8) for _, y in reals]
        assert sums == [min(max(int(n) + m, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1)
                        for n, m in zip(first.ravel(), due, strict=True)]  # fmt: skip


@pytest.mark.parametrize("x", [Format(6, 3), Format(6, 4, signed=False)], ids=str)
def test_elementwise_operations(x: Format) -> None:
    numbers = every(x)
    stream, reals = numbers.reshape(1, -1, 1), fractions(x, numbers)
    for out in (Format(8, 4, signed=False), Format(4, 1), Format(10, 9, signed=False)):
        assert ops.SquaredReLU(out, 1, x)(stream).ravel().tolist() == [
            held(out, max(r, Fraction(0)) ** 2) for r in reals
        ]
        gated = [held(out, Fraction(1 / (1 + 2.718281828459045 ** float(-r)))) for r in reals]
        assert ops.Sigmoid(out, 1, x)(stream).ravel().tolist() == gated


def test_a_token_is_mixed_with_the_one_before_it_and_the_first_with_nothing() -> None:
    x, mu, out = Format(5, 2), Format(5, 3), Format(5, 2)
    rng = np.random.default_rng(0)
    stream, factors = rng.integers(x.lo, x.hi + 1, (1, 200, 8)), np.array([-16, -3, 0, 1, 4, 7, 8, 15])
    got = ops.TokenShift(out, 8, x, mu)(stream, mu=factors)[0]
    for channel in range(8):
        reals = fractions(x, stream[0, :, channel])
        factor = Fraction(int(factors[channel]), 8)
        due = [
            held(out, r * factor + before * (1 - factor))
            for before, r in zip([Fraction(0), *reals], reals, strict=False)
        ]
        assert got[:, channel].tolist() == due


@pytest.mark.parametrize(("inputs", "weight"), [(7, Format(4, 3)), (8, Format(2, 1))])
def test_a_matrix_is_multiplied_exactly_and_rounded_once(inputs: int, weight: Format) -> None:
    """The accumulator holds the worst sums; eight ternary weights of the least input reach one more than 7 bits."""
    x, out = Format(5, 2), Format(6, weight.frac)
    rng = np.random.default_rng(1)
    stream = rng.integers(x.lo, x.hi + 1, (1, 50, inputs))
    matrix = rng.integers(-weight.hi, weight.hi + 1, (3, inputs))
    stream[0, 0], matrix[0], matrix[1] = x.lo, weight.hi, -weight.hi
    op = ops.Linear(out, inputs, 3, x, weight)
    sums = [[sum(map(int.__mul__, token, row)) for row in matrix.tolist()] for token in stream[0].tolist()]
    due = [[held(out, n / Fraction(2) ** (x.frac + weight.frac)) for n in row] for row in sums]
    assert op(stream, weight=matrix)[0].tolist() == due
    wide = op.accumulator
    assert least(wide) <= np.min(sums) <= np.max(sums) <= most(wide)
    assert ops.Linear(wide, inputs, 3, x, weight)(stream, weight=matrix)[0].tolist() == sums


@pytest.mark.parametrize("x", [Format(8, 4), Format(6, -1), Format(4, 2)], ids=str)
def test_spikes_are_those_of_exact_arithmetic(x: Format) -> None:
    rng = np.random.default_rng(2)
    stream = rng.integers(x.lo, x.hi + 1, (1, 300, 6))
    stream[0, :, 4] = 2 * 2**x.frac if x.frac >= 0 else 1  # reaches the threshold, or comes ever closer
    stream[0, :, 5] = np.where(np.arange(300) % 2, x.lo, x.hi)
    got = ops.LIF.of(6, x)(stream)[0]
    for channel in range(6):
        membrane, due = Fraction(0), []
        for real in fractions(x, stream[0, :, channel]):
            charge = membrane + (real - membrane) / 2
            due.append(int(charge >= 1))
            membrane = Fraction(0) if charge >= 1 else charge
        assert got[:, channel].tolist() == due


def test_a_row_is_looked_up_by_its_id() -> None:
    table = np.array([[0, 1], [1, 1], [1, 0]])
    op = ops.BinaryEmbedding(ops.BIT, 3, 2)
    assert op(np.array([[2, 0, 1]]), table=table)[0].tolist() == [[1, 0], [0, 1], [1, 1]]
    assert [ops.BinaryEmbedding(ops.BIT, n, 2).ids.bits for n in (1, 2, 3, 4, 5, 256, 257)] == [1, 1, 2, 2, 3, 8, 9]


def test_the_reciprocal_root_is_as_close_as_it_says() -> None:
    n = np.unique(np.geomspace(1, 2**40, 200_000).astype(np.int64))
    root, exponent = reciprocal_root(n)
    error = root * 2.0 ** -(16 + exponent) * np.sqrt(n) - 1
    assert np.abs(error).max() < 2.0**-14
    assert abs(error.mean()) < 2.0**-15  # Newton's step falls short by little


@pytest.mark.parametrize("x", [Format(8, 4), Format(12, 9), Format(8, 0), ops.BIT], ids=str)
def test_rows_are_normalised_as_float64_normalises_them(x: Format) -> None:
    """Within half a step of the output, a step of the normalised value times the gain, and the root's own error."""
    channels, gain, bias, out = 24, Format(8, 5), Format(16, 10), Format(16, 9)
    op = ops.LayerNorm(out, channels, x, gain, bias)
    rng = np.random.default_rng(3)
    spread = rng.integers(0, x.bits, (500, 1))
    rows = rng.integers(x.lo, x.hi + 1, (500, channels)) >> spread
    rows[0], rows[1], rows[2] = x.lo, x.hi, x.lo
    rows[2:6, 0] = x.lo + 1  # a variance so small that the epsilon counts
    rows[3:6, 1:] = x.lo
    gains, biases = rng.integers(gain.lo, gain.hi + 1, channels), rng.integers(-3000, 3000, channels)
    real = x.real(rows)
    centred = real - real.mean(-1, keepdims=True)
    grid = channels**2 * 4.0**x.frac  # of the variance, on which the epsilon of 1e-5 is an integer, and never none
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + max(1, round(1e-5 * grid)) / grid)
    exact = np.clip(normal * gain.real(gains) + bias.real(biases), out.real(out.lo), out.real(out.hi))
    allowed = 2.0**-10 + np.abs(gain.real(gains)) * (2.0**-11 + 2.0**-14 * np.abs(normal))
    got = out.real(op(rows[None], gain=gains, bias=biases)[0])
    assert (np.abs(got - exact) <= allowed).all()
    assert op.norm.hi >= np.abs(normal * 2.0**10).max()
