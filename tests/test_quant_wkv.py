"""The integer WKV against float64 with the true parameters: the stated bound holds, and the errors of docs/wkv.md.

``pytest tests/test_quant_wkv.py -rP`` prints that page's table.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from qonnx.custom_op.registry import getCustomOp

from spikegpt_hls.hls.frontend.onnx_graph import per_token
from spikegpt_hls.quant import ops
from spikegpt_hls.quant.errors import GraphError
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.graph import DOMAIN
from spikegpt_hls.quant.ops.wkv import HALVINGS, LOSS, quantize

S8 = Format(8, 4)
DECAYS = [-20, -12, -10, -9, -8.5, -8, -7.5, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 2.5]
BONUSES = [-22, -6, -0.7, 0.3, 5, 22]
TIME_DECAY, TIME_FIRST = (grid.ravel() for grid in np.meshgrid(DECAYS, BONUSES))
TOKENS = 5_000
PAGE = Path(__file__).parents[1] / "docs" / "wkv.md"


def exact(k: NDArray, v: NDArray, time_decay: NDArray, time_first: NDArray) -> NDArray[np.float64]:
    """The recurrence in float64 with a running maximum, as released: everything is a real number."""
    w, u = -np.exp(time_decay), time_first
    a = b = np.zeros(k.shape[1])
    p = np.full(k.shape[1], -1e30)
    out = np.empty(k.shape)
    for t in range(len(k)):
        q = np.maximum(p, u + k[t])
        past, now = np.exp(p - q), np.exp(u + k[t] - q)
        out[t] = (past * a + now * v[t]) / (past * b + now)
        q = np.maximum(p + w, k[t])
        past, now = np.exp(p + w - q), np.exp(k[t] - q)
        a, b, p = past * a + now * v[t], past * b + now, q
    return out


def errors(op: ops.WKV, streams: Sequence[tuple[Ints, Ints]]) -> Iterator[NDArray[np.float64]]:
    """For each pair of keys and values, (tokens, channels): the steps of the output by which the integers differ from
    float64. All of them are run side by side."""
    keys, values = (np.concatenate(pair, 1) for pair in zip(*streams, strict=True))
    parameters = np.tile(TIME_DECAY, len(streams)), np.tile(TIME_FIRST, len(streams))
    ours = replace(op, channels=keys.shape[1])(keys[None], values[None], **quantize(*parameters))[0]
    true = exact(op.k.real(keys), op.v.real(values), *parameters)
    return iter(np.split(np.abs(ours - true * 2.0**op.out.frac), len(streams), 1))


def patterns(seed: int) -> dict[str, Ints]:
    """Of keys or values, (tokens, channels)."""
    shape = TOKENS, len(TIME_DECAY)
    turns = np.broadcast_to(np.where(np.arange(TOKENS)[:, None] % 2, -128, 127), shape)
    return {"uniform": np.random.default_rng(seed).integers(-128, 128, shape), "alternating": turns}


def table() -> Iterator[str]:
    """A row for each format of the keys, and pattern of keys and values: over all decays and bonuses the largest error,
    the largest of a channel's mean errors, and the largest share of the bound that an error took."""
    pairs = list(product(patterns(1).items(), patterns(2).items()))
    for frac in (7, 4, 0):
        op = ops.WKV(Format(10, 6), len(TIME_DECAY), Format(8, frac), S8)
        bound = op.error_bound(TIME_DECAY, TIME_FIRST, TOKENS)
        for ((key, _), (value, _)), found in zip(pairs, errors(op, [(k, v) for (_, k), (_, v) in pairs]), strict=True):
            most, mean, share = found.max(), found.mean(0).max(), (found.max(0) / bound).max()
            assert most <= 4
            assert mean <= 0.5
            assert share <= 1
            yield f"| s8.{frac} | {key} | {value} | {most:.2f} | {mean:.2f} | {share:.0%} |"


def test_no_output_is_four_steps_from_float64_with_the_true_parameters() -> None:
    rows = list(table())
    print(*rows, sep="\n")
    assert "\n".join(rows) in PAGE.read_text()


def hard() -> list[tuple[Ints, Ints]]:
    """Keys and values (20,000, channels) that ask most of a long memory: values at one end, then at the other; one huge
    key, then tiny ones; keys that fall as fast as the states fade."""
    tokens = np.arange(20_000)[:, None]
    rng, shape = np.random.default_rng(1), (len(tokens), len(TIME_DECAY))
    step = np.broadcast_to(np.where(tokens < 10_000, -128, 127), shape)
    huge = np.where(tokens % 7000 == 7, 127, rng.integers(-128, -100, shape))
    falling = 127 - (tokens * np.exp(TIME_DECAY) * 2.0**S8.frac).astype(np.int64) % 256
    any_value = rng.integers(-128, 128, shape)
    return [(any_value[::-1], step), (huge, step), (huge, any_value), (falling, step), (0 * step, step)]


def test_error_stays_below_the_stated_bound() -> None:
    op, streams = ops.WKV(Format(10, 6), len(TIME_DECAY), S8, S8), hard()
    bound = op.error_bound(TIME_DECAY, TIME_FIRST, len(streams[0][0]))
    for found in errors(op, streams):
        print(f"{found.max():.2f} steps, {(found.max(0) / bound).max():.0%} of the bound")
        assert (found.max(0) <= bound).all()


def test_a_decay_keeps_its_relative_precision_whatever_its_size() -> None:
    time_decay = np.linspace(-20, 5.8, 10_001)
    loss, halvings = (quantize(time_decay, time_decay)[name] for name in ("loss", "halvings"))
    ratio = np.log1p(-LOSS.real(loss)) - halvings * np.log(2) + np.exp(time_decay)
    assert np.abs(ratio).max() < 1.001 * 2.0**-17
    assert np.abs(ratio[time_decay < -5]).max() < 1.01 * 2.0**-18
    forgets = quantize(np.array([-1000.0, 6, 700, np.inf]), np.zeros(4))
    assert forgets["halvings"].tolist() == [0, HALVINGS.hi, HALVINGS.hi, HALVINGS.hi]
    assert forgets["loss"][0] == 0


@pytest.mark.parametrize("v", [S8, Format(8, 4, signed=False), Format(1, 0, signed=False), Format(4, 2)])
def test_states_fit_their_formats(v: Format) -> None:
    """A channel that forgets nothing, and one that forgets half a token, at the values' ends."""
    op = ops.WKV(Format(10, v.frac + 2), 4, Format(8, 0), v)
    time_decay = np.array([-40, -9, np.log(np.log(2)), 1])
    rng, shape = np.random.default_rng(0), (1, 300, 4)
    params, keys = quantize(time_decay, np.zeros(4)), rng.integers(-3, 4, shape)
    for values in (np.full(shape, v.lo), np.full(shape, v.hi)):
        state = op.initial_state(1)
        for t in range(shape[1]):
            _, state = op.run([keys[:, [t]], values[:, [t]]], params, state)
            for name, value in state.items():
                fmt = op.state_format(name)
                assert ((fmt.lo <= value) & (value <= fmt.hi)).all(), (name, t)


def test_a_graph_with_the_parameters_of_an_earlier_version_is_answered_by_a_sentence() -> None:
    """There a decay was one number: streams and two parameters, where they are three today."""
    op = ops.WKV(Format(10, 6), 4, S8, S8)
    node = helper.make_node(
        "WKV", ["k", "v", "decay", "bonus"], ["y"], "blocks.0.att.wkv", domain=DOMAIN, **op.attributes()
    )
    info = [helper.make_tensor_value_info(name, 1, [1, 1, 4]) for name in "ky"]
    model = helper.make_model(helper.make_graph([node], "earlier", info[:1], info[1:]))
    sentence = "node 'blocks.0.att.wkv': its bonus is missing; if another version exported this graph, export it again"
    with pytest.raises(GraphError, match=sentence):
        per_token(model)
    with pytest.raises(GraphError, match=sentence):
        getCustomOp(node).execute_node({}, model.graph)
