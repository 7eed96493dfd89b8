"""Linear in RTL: every weight width; folded over part of a beat, whole beats and many outputs at once."""

from itertools import product

import numpy as np
import pytest

from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, Linear
from spikegpt_hls.rtl_tests.bench import check, flip_bit, random_params, sequences
from spikegpt_hls.rtl_tests.marks import slow

LENGTHS = (5, 1, 6)
BYTE = Format(8, 4)


def linear(inputs: int, outputs: int, weight: Format, x: Format = BYTE, out: Format | None = BYTE) -> Linear:
    """``out`` None: a head, whose accumulators leave as they are."""
    op = Linear(out or BIT, inputs, outputs, x, weight)
    return op if out else Linear(op.accumulator, inputs, outputs, x, weight)


def near_the_edges(op: Linear, weight: np.ndarray, tokens: int, seed: int) -> np.ndarray:
    """Of 512 rows always the one with the most sums next to a rounding tie: there every bit of a sum decides."""
    rng, unit = np.random.default_rng(seed), 2.0 ** (op.x.frac + op.weight.frac - op.out.frac)
    rows = []
    for _ in range(tokens):
        x = rng.integers(op.x.lo, op.x.hi, (512, op.n_in), endpoint=True)
        y = (x @ weight.T) / unit
        away = np.abs(y - np.floor(y) - 0.5) + (np.abs(y - np.clip(y, op.out.lo, op.out.hi)) > 0.5)
        rows.append(x[np.argmax((1 / (away + 1 / unit)).sum(-1))])
    return np.array(rows)


def at_the_ends(op: Linear, weight: np.ndarray) -> np.ndarray:
    """The rows with the largest and the smallest sums of eight outputs."""
    signs = weight[:: -(-len(weight) // 8)] > 0
    return np.concatenate([np.where(signs, op.x.hi, op.x.lo), np.where(signs, op.x.lo, op.x.hi)])


def run(op: Linear, lanes: int, reuse_factor: int, **changes: object) -> None:
    block = single(op, lanes, random_params(op, seed=1), reuse_factor)
    many = 400 // reuse_factor  # tokens, where one takes few steps
    edges = [near_the_edges(op, block.params["weight"], 24 + many, 1), at_the_ends(op, block.params["weight"])]
    lengths = (*LENGTHS, 1 + many, sum(map(len, edges)))
    rows = [*sequences(op, lengths[:4], reuse_factor), *edges]
    check(block, [np.concatenate(rows)], lengths, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inputs", "outputs", "lanes", "reuse_factor", "weight", "x", "out"),
    [
        slow(64, 64, 1, 512, Format(8, 7), Format(8, 4), Format(8, 3)),  # one input, many outputs a step
        (48, 6, 1, 48, Format(8, 7), Format(8, 8, signed=False), Format(8, 4)),  # unsigned, all outputs a step
        slow(48, 6, 1, 96, Format(8, 7), Format(8, 4), Format(8, 4)),  # an odd number of rows
        slow(48, 4, 1, 96, Format(6, 5), Format(12, 8), Format(8, 2)),
        (64, 48, 2, 64, Format(4, 3), Format(8, 5), Format(6, 0)),  # two inputs, one row a word
        (16, 32, 8, 32, Format(2, 1), Format(8, 8, signed=False), Format(8, 2)),  # a word of several rows
        (24, 4, 2, 96, Format(8, 9), Format(8, 2), Format(8, 6)),  # one multiplier: a beat in two steps
        (8, 8, 8, 16, Format(4, 2), Format(12, 6), Format(16, 9)),  # half a beat a step, a token of one beat
        slow(8, 8, 8, 1, Format(8, 7), Format(8, 4), Format(8, 4)),  # one step a token
        slow(48, 64, 1, 48, Format(8, 7), BIT, Format(8, -2)),  # spikes in, every output at once
        (8, 96, 1, 24, Format(8, 7), Format(8, 4), None),  # a head
        slow(8, 64, 8, 8, Format(2, 1), Format(8, 0), Format(4, 0, signed=False)),
        (16, 6, 1, 32, Format(8, 7), Format(8, 5, signed=False), Format(8, 3)),  # an odd row without a partner
        slow(16, 8, 1, 32, Format(4, 3), Format(8, 5), None),  # four bits
    ],
)
def test_products(
    inputs: int, outputs: int, lanes: int, reuse_factor: int, weight: Format, x: Format, out: Format | None
) -> None:
    run(linear(inputs, outputs, weight, x, out), lanes, reuse_factor)


@pytest.mark.parametrize(("bits", "lanes"), [slow(2, 8), (4, 8), (8, 8), slow(8, 1)])
def test_every_pair_of_weight_and_input(bits: int, lanes: int) -> None:
    """One input per output row: row ``w`` multiplies a token's only input that is not 0."""
    fmt = Format(bits, 0)
    weights = np.zeros((2 * fmt.hi + 1 + (-2 * fmt.hi - 1) % 8, 8), np.int64)
    weights[: 2 * fmt.hi + 1, 0] = np.arange(-fmt.hi, fmt.hi + 1)
    op = linear(8, len(weights), fmt, Format(8, 0), None)
    x = np.zeros((256, 8), np.int64)
    x[:, 0] = np.random.default_rng(0).permutation(np.arange(-128, 128))
    multipliers = 64 if lanes == 8 else 16
    check(single(op, lanes, {"weight": weights}, 8 * len(weights) // multipliers), [x], [256], test="flowing")


@pytest.mark.parametrize(("lanes", "signed"), [(1, True), slow(1, False), slow(2, True)])
def test_sums_reach_the_accumulators_ends(lanes: int, signed: bool) -> None:
    """Alone, beside a neighbour of the same sign, and of the other; then to both ends in turn. Then anything."""
    x = Format(8, 4, signed)
    op = linear(96, 8, Format(8, 7), x, None)
    weights = np.array([1, 1, -1, -1, 1, -1, -1, 1])[:, None] * np.full((1, 96), 127)
    weights[:, 48:] *= np.array([1, 0, 1, 0, -1, -1, 1, 1])[:, None]
    end = x.lo if signed else x.hi
    rows = np.concatenate([np.full((3, 96), end), *sequences(op, [20], seed=lanes)])
    check(single(op, lanes, {"weight": weights}, 96 // lanes), [rows], [23], test="flowing")


def test_a_flipped_weight_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel 5"):
        run(linear(8, 8, Format(8, 7), out=None), 1, 8, corrupt=flip_bit("WEIGHT_FILE", 3, 8 * 5 + 6), test="flowing")


INTERLEAVED = (30, 1, 20, 25, 12)


@pytest.mark.parametrize(("outputs", "lanes", "reuse_factor"), [(24, 2, 32), (8, 8, 1)])
def test_interleaved_contexts(outputs: int, lanes: int, reuse_factor: int) -> None:
    op = linear(8, outputs, Format(8, 7))
    block = single(op, lanes, random_params(op, seed=4), reuse_factor, contexts=3)
    check(block, sequences(op, INTERLEAVED, seed=4), INTERLEAVED)


def test_a_bank_that_forgets_its_context_is_noticed() -> None:
    op = linear(8, 8, Format(8, 7))
    block, streams = single(op, 8, random_params(op, seed=4), 8, contexts=3), sequences(op, INTERLEAVED, seed=4)
    with pytest.raises(AssertionError, match=r"token \d+ has tuser \d"):
        check(block, streams, INTERLEAVED, test="flowing", edit=("[fill_q*UserBits+:UserBits]", "[0+:UserBits]"))


@pytest.mark.soak
@pytest.mark.parametrize(
    ("channels", "lanes", "bits", "depth"), list(product((8, 48, 64, 96), (1, 2, 8), (2, 4, 8), (0.0, 0.5, 1.0)))
)
def test_grid(channels: int, lanes: int, bits: int, depth: float) -> None:
    """The smallest, a middling and the largest ReuseFactor of every size, lane count and weight width."""
    factors = [factor for factor in legal_factors(channels, channels, lanes) if channels**2 // factor <= 512]
    run(linear(channels, channels, Format(bits, bits - 1)), lanes, factors[round(depth * (len(factors) - 1))])
