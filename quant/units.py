"""One module per operation: a float surrogate to train, and the integer operation to evaluate and export.

In ``train()`` a unit computes its surrogate and fake-quantizes its output edge; in ``eval()`` it *is* the operation of
``quant.ops``, run in NumPy. Streams travel with their formats, so every operation is built from what really arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.quant import ops
from spikegpt_hls.quant.bridge import run_integers
from spikegpt_hls.quant.fake_quantize import Grid, fake_quantize
from spikegpt_hls.quant.format import MAX_ACCUMULATOR_BITS, ONNX_EXACT_BITS, ExactnessError, Format, Ints

#: A grid, and log2 of its scale up to a constant where it is trained.
Rounding = tuple[Tensor | None, Grid]
Module = TypeVar("Module", bound=nn.Module)
#: The name of what comes into a network, beside those of its nodes.
SOURCE = "tokens"
#: Integers (int64) by ``<node>.<state>``; a missing one is the operation's initial state.
State = dict[str, Tensor]


@dataclass(frozen=True)
class Node:
    """One operation of the graph: where it stands, what it is, its parameters as integers, and whom it reads."""

    name: str
    operation: ops.Operation
    params: Mapping[str, Ints]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Stream:
    """A tensor on its way, the format it has where it is read, and the node that wrote it.

    In training it may be on its way to its grid: whoever reads ``value`` has it rounded, and an operation that rounds
    in its own pass takes ``raw`` and ``rounding``.
    """

    raw: Tensor
    format: Format
    node: str
    rounding: Rounding | None = None

    @property
    def value(self) -> Tensor:
        """Real values on the grid of ``format``."""
        return self.raw if self.rounding is None else fake_quantize(self.raw, *self.rounding)  # type: ignore[no-any-return]


@dataclass
class Run:
    """One pass through the network: the states before and after, and, where asked for, every node and its output."""

    state: State | None = None  # None: from the initial state, and the state after is of no interest
    nodes: list[Node] | None = None
    trace: dict[str, Tensor] | None = None
    after: State = field(default_factory=dict)


class Unit(nn.Module):
    """A node of the network."""

    node: str  # its place in the network, set by the network
    calibrating = False  # surrogates are float, and edges observe

    def operation(self, *formats: Format) -> ops.Operation:
        """The integer operation for input streams of these formats."""
        raise NotImplementedError

    def params(self) -> dict[str, Tensor]:
        """The operation's parameters as real values on their grids."""
        return {}

    def surrogate(self, *streams: Stream) -> Tensor:
        """The float meaning, with the output edge fake-quantized but for ``rounding``."""
        raise NotImplementedError

    def rounding(self, out: Format) -> Rounding | None:
        """What is left to the reader of ``out``, in training."""
        return None

    def fake_quantize(self, x: Tensor, fmt: Format) -> Tensor:
        return x if self.calibrating else fake_quantize(x, None, Grid.of(fmt))  # type: ignore[no-any-return]

    def forward(self, run: Run, *streams: Stream) -> Stream:
        operation = self.operation(*(stream.format for stream in streams))
        if self.training:
            rounding = None if self.calibrating else self.rounding(operation.out)
            return Stream(self.surrogate(*streams), operation.out, self.node, rounding)
        check_exact(self.node, operation)
        params = self.params()
        value, after = run_integers(operation, self.node, [s.value for s in streams], params, run.state)
        run.after.update(after)
        if run.nodes is not None:
            integers = {k: operation.param_format(k).integers(v.detach().numpy(), k) for k, v in params.items()}
            run.nodes.append(Node(self.node, operation, integers, tuple(stream.node for stream in streams)))
        if run.trace is not None:
            run.trace[self.node] = value
        return Stream(value, operation.out, self.node)


class Network(nn.Module):
    """Units, and in ``join`` who reads whom. ``source`` says what comes in: ids (B, T), or channels (B, T, C) as real
    values on the grid of its format. ``eval()`` is exact integer arithmetic."""

    source: ops.Source

    def join(self, run: Run, x: Stream) -> Stream:
        """What comes in to what goes out."""
        raise NotImplementedError

    def name_units(self) -> None:
        """A unit is called as its place is; at the end of the construction."""
        for path, module in self.named_modules():
            if isinstance(module, Unit):
                module.node = path.replace(".", "_")

    def together(self, kind: type[Module]) -> list[list[Module]]:
        """Modules of a kind, by those that have one format."""
        return [[module] for module in self.modules() if isinstance(module, kind)]

    def units(self) -> Iterable[Unit]:
        return (module for module in self.modules() if isinstance(module, Unit))

    def forward(self, x: Tensor) -> Tensor:
        """Whole sequences from their first token on."""
        return self.compute(Run(), x)

    def compute(self, run: Run, x: Tensor) -> Tensor:
        """One pass, leaving in ``run`` what it asks for."""
        return self.join(run, Stream(x, self.source.format, SOURCE)).value

    def run(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """What follows from ``x`` continuing from ``state``, and the state after the last token; needs ``eval()``."""
        if self.training:
            raise ModelError("the quantized network has a state in eval() only")
        run = Run(state or {})
        return self.compute(run, x), run.after

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One token: ids (B,) or channels (B, C) to outputs (B, outputs), and the state after it."""
        out, state = self.run(x[:, None], state)
        return out[:, 0], state

    def tensor(self, integers: NDArray) -> Tensor:
        """What the network reads for one sequence of integers, (T,) or (T, C), as a batch of one."""
        return torch.from_numpy(self.source.tensor(integers))[None]

    def silence(self, tokens: int) -> Tensor:
        """A sequence of zeros, as a batch of one."""
        return self.tensor(np.zeros((tokens, *self.source.shape), np.int64))


def check_exact(node: str, operation: ops.Operation) -> None:
    """ExactnessError, naming the layer, where an accumulator or an output is too wide to be exact."""
    if isinstance(operation, ops.Linear) and operation.accumulator.bits > MAX_ACCUMULATOR_BITS:
        excess = operation.accumulator.bits - MAX_ACCUMULATOR_BITS
        raise ExactnessError(
            f"{node}: its accumulator needs {operation.accumulator.bits} bits, "
            f"{excess} more than the {MAX_ACCUMULATOR_BITS} that can be exact"
        )
    if operation.out.bits > ONNX_EXACT_BITS:
        excess = operation.out.bits - ONNX_EXACT_BITS
        raise ExactnessError(
            f"{node}: its output needs {operation.out.bits} bits, "
            f"{excess} more than the {ONNX_EXACT_BITS} that an ONNX tensor carries exactly"
        )


def on_grid(fmt: Format, real: Tensor) -> Tensor:
    """``real`` on the grid of ``fmt``, detached: a constant of the exported graph."""
    return torch.from_numpy(fmt.real(fmt.quantize(real.detach().double().numpy())).astype(np.float32))
