"""Binary embedding in RTL: every token id, vocabularies that are no power of two, and one of a single word."""

from itertools import product

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.ops import BIT, BinaryEmbedding
from spikegpt_hls.rtl_tests.bench import check, flip_bit, random_params
from spikegpt_hls.rtl_tests.marks import slow


def ids(vocabulary: int) -> np.ndarray:
    """Every id once, then some again."""
    rng = np.random.default_rng(vocabulary)
    return np.concatenate([rng.permutation(vocabulary), rng.integers(0, vocabulary, 10)])


@pytest.mark.parametrize(
    ("vocabulary", "channels", "lanes"), [(256, 8, 8), (65, 48, 2), (1, 64, 1), slow(77, 96, 8), slow(2, 8, 1)]
)
def test_rows(vocabulary: int, channels: int, lanes: int) -> None:
    op = BinaryEmbedding(BIT, vocabulary, channels)
    tokens = ids(vocabulary)
    lengths = (1, len(tokens) - 3, 2)
    check(single(op, lanes, random_params(op, seed=1)), [tokens], lengths)


def test_interleaved_contexts() -> None:
    op, lengths = BinaryEmbedding(BIT, 16, 8), (4, 1, 6, 5)
    check(single(op, 2, random_params(op, seed=3), contexts=3), [np.arange(16)], lengths)


def test_a_flipped_bit_is_noticed() -> None:
    """Token 5's id is the first with a wrong bit, at word 3 of its row, lane 1."""
    op = BinaryEmbedding(BIT, 16, 8)
    corrupt = flip_bit("TABLE_FILE", 5 * 4 + 3, 1)
    with pytest.raises(AssertionError, match="first difference at token 5, channel 7"):
        check(single(op, 2, random_params(op, seed=1)), [np.arange(16)], [16], corrupt, test="flowing")


@pytest.mark.soak
@pytest.mark.parametrize(("channels", "lanes"), list(product((8, 48, 64, 96), (1, 2, 8))))
def test_grid(channels: int, lanes: int) -> None:
    op = BinaryEmbedding(BIT, 100, channels)
    check(single(op, lanes, random_params(op, seed=2)), [ids(100)], [110])
