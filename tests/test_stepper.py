"""The integer model token by token: compiled kernels equal the meaning of every operation, and the whole network."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from spikegpt_hls.model.kernels import VARIABLE, build
from spikegpt_hls.quant import ops
from spikegpt_hls.quant.export.stepper import Stepper
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.kernels.program import Program, library, prepare
from spikegpt_hls.quant.kernels.rows import ROWS
from spikegpt_hls.quant.network import blocks
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.quant.units import Node

BATCH, TOKENS = 3, 6


@pytest.fixture(autouse=True)
def _compiles() -> None:
    """Nothing below compares the meaning with itself."""
    assert library() is not None


@pytest.mark.parametrize("neurons", ["lif", "none"])
@pytest.mark.parametrize(("weights", "activations"), [(8, 8), (4, 6), (2, 4), ("4, head=8, *.ffn.*=2", "8, *.gate=5")])
def test_the_stepper_is_the_network(weights: int | str, activations: int | str, neurons: str) -> None:
    network = random_network(2, 20, 3, weights, 30, activations, neurons=neurons)
    stepper, ids = Stepper(network), torch.randint(0, 30, (25, 2))
    state = fast = None
    for token in ids:
        logits, state = network.step(token, state)
        ours, fast = stepper.step(token, fast)
        assert torch.equal(logits, ours)
        mine = stepper.program(2).states
        assert {f"{node}.{name}" for node, states in mine.items() for name in states} == state.keys()
        for name, value in state.items():
            assert np.array_equal(mine[name.split(".")[0]][name.split(".")[1]], value.numpy()), name


def test_all_but_wkv_is_compiled() -> None:
    """What is compiled nowhere would be compared with itself above."""
    nodes = blocks(random_network(1, 8)) + blocks(random_network(1, 8, placement="spike-driven"))
    assert {type(node.operation) for node in prepare(nodes, library()) if node.row is None} == {ops.WKV}
    assert {type(node.operation) for node in nodes} == set(ROWS) | {ops.WKV}


@pytest.mark.parametrize("lacking", ["asked", "no compiler"])
def test_without_kernels_the_meaning_runs(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    network, ids = random_network(1, 12), torch.randint(0, 256, (8, 1))
    expected = [row for row in _logits(Stepper(network), ids)]
    if lacking == "asked":
        monkeypatch.setenv(VARIABLE, "torch")
    else:
        monkeypatch.setattr(build, "library", lambda *_: None)
    plain = Stepper(network)
    assert all(node.row is None for node in plain.nodes)
    assert all(torch.equal(a, b) for a, b in zip(_logits(plain, ids), expected, strict=True))


def _logits(stepper: Stepper, ids: torch.Tensor) -> list[torch.Tensor]:
    state, logits = None, []
    for token in ids:
        found, state = stepper.step(token, state)
        logits.append(found)
    return logits


def test_a_state_can_be_returned_to() -> None:
    stepper = Stepper(random_network(1, 8))
    _, state = stepper.step(torch.tensor([5]))
    first, _ = stepper.step(torch.tensor([6]), state)
    stepper.step(torch.tensor([7, 8]))
    again, _ = stepper.step(torch.tensor([6]), state)
    assert torch.equal(first, again)


@dataclass(frozen=True)
class Given(ops.Operation):
    """A stream that a test chose, (tokens, batch, channels), one token at every run."""

    channels: int
    values: list[np.ndarray] = field(hash=False)

    def run(self, streams, params, state):
        return self.values.pop(0)[:, None], state


S8, S4, U8 = Format(8, 4), Format(4, 1), Format(8, 5, signed=False)
S16, WIDE, BIT = Format(16, 9), Format(25, 6), ops.BIT
OPERATIONS = [
    ops.LayerNorm(S8, 7, Format(9, 3), Format(8, 5), Format(16, 10)),
    ops.LayerNorm(S4, 130, WIDE, Format(8, 0), Format(16, 10)),
    ops.LayerNorm(S8, 1, S4, Format(8, 10), Format(16, 10)),
    ops.LayerNorm(S16, 512, BIT, Format(8, 5), Format(16, 10)),
    ops.TokenShift(S8, 33, S8, Format(10, 8)),
    ops.TokenShift(S16, 5, WIDE, Format(10, 8)),
    ops.Linear(S8, 70, 9, S8, Format(8, 7)),
    ops.Linear(U8, 2048, 3, U8, Format(8, 15)),
    ops.Linear(Format(32, 20), 256, 5, S16, Format(8, 11)),  # the widest accumulators, as the head writes them
    ops.Linear(S4, 31, 4, Format(15, 0, signed=False), Format(2, 0)),
    ops.Linear(Format(10, 12), 16, 4, S4, Format(4, 3)),  # finer than its accumulators
    ops.Sigmoid(Format(8, 8, signed=False), 20, S8),
    ops.Gate(S8, 20, Format(8, 8, signed=False), S16),
    ops.Gate(Format(20, 20), 20, S4, S8),
    ops.SquaredReLU(Format(8, 3, signed=False), 20, U8),
    ops.SquaredReLU(Format(8, 12, signed=False), 20, S16),
    ops.LIF.of(20, S8),
    ops.LIF.of(20, Format(8, 0)),
    ops.Residual(Format(10, 4), 20, S8),
    ops.Residual(S8, 20, S8, S16),
    ops.BinaryEmbedding(BIT, 40, 20),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_kernels_equal_the_meaning_at_the_corners(operation: ops.Operation) -> None:
    """Token by token with state, over random numbers, over the least and the greatest, and ties of rounding."""
    rng = np.random.default_rng(0)
    params = {
        name: _numbers(rng, operation.param_format(name), operation.param_shape(name), narrow=True)
        for name in operation.params
    }
    widths = {name: getattr(operation, "inputs", operation.n_in) for name in operation.streams}
    embedded = isinstance(operation, ops.BinaryEmbedding)
    streams = (
        {}
        if embedded
        else {
            name: _numbers(rng, operation.stream_format(name), (TOKENS, BATCH, width)) for name, width in widths.items()
        }
    )
    given = [
        Node(name, Given(operation.stream_format(name), x.shape[-1], list(x)), {}, ()) for name, x in streams.items()
    ]
    node = Node("it", operation, params, ("tokens",) if embedded else tuple(streams))
    prepared = prepare([*given, node], library())
    assert prepared[-1].row is not None
    program = Program(prepared, BATCH, library())
    state = operation.initial_state(BATCH)
    for t in range(TOKENS):
        program.ids[:] = rng.integers(0, 40, (BATCH, 1))
        inputs = [program.ids] if embedded else [x[t][:, None] for x in streams.values()]
        expected, state = operation.run(inputs, params, state)
        program.run()
        assert np.array_equal(program.out, expected[:, 0])
        for name, value in state.items():
            assert np.array_equal(program.states["it"][name], value), name


def _numbers(rng: np.random.Generator, fmt: Format, shape: tuple[int, ...], narrow: bool = False) -> np.ndarray:
    """Of ``fmt``: the first row all least, the second all greatest, then random ones among which are both."""
    lo = -fmt.hi if narrow and fmt.signed else fmt.lo
    n = rng.choice([lo, fmt.hi, *rng.integers(lo, fmt.hi + 1, 20)], shape)
    if len(shape) > 1:
        n[0], n[1 % shape[0]] = lo, fmt.hi
    return n
