"""Events: weights that are really added, those whose input is not 0, over all weights of the matrices in the blocks.

``events = sum over matrices of (inputs that are not 0 x outputs) / sum of (inputs x outputs)``, per token. Operations
and reads of weights both follow it. The head, which reads numbers, is counted apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikegpt_hls.model.lif import arctan_slope

#: Which matrix reads what a module of a block sends.
READERS = {
    "att.lif_k": "att.key",
    "att.lif_v": "att.value",
    "att.lif_r": "att.receptance",
    "att.lif_o": "att.output",
    "ffn.lif_k": "ffn.key",
    "ffn.lif_r": "ffn.receptance",
    "ffn.lif_h": "ffn.value",
    "ffn.squared_relu": "ffn.value",
    "ffn.graded_spike": "ffn.value",
}
HEAD = "head"


class EventFunction(torch.autograd.Function):
    """1 where ``sent`` is not 0, with the neurons' arctan surrogate around the threshold that ``above`` exceeds."""

    @staticmethod
    def forward(ctx: Any, above: Tensor, sent: Tensor) -> Tensor:
        ctx.save_for_backward(above)
        return (sent != 0).to(above.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return grad * arctan_slope(ctx.saved_tensors[0]), None


def matrices(model: nn.Module) -> dict[str, nn.Module]:
    """Every matrix of a network, float or quantized, by its path."""
    return {name: module for name, module in model.named_modules() if type(module).__name__ == "Linear"}


def weights(matrix: Any) -> int:
    return int(matrix.in_features * matrix.out_features)


class Pressure:
    """The events of a training step, differentiable: a matrix that reads no neuron's output counts whole."""

    def __init__(self, model: nn.Module) -> None:
        known = {name: weights(matrix) for name, matrix in matrices(model).items() if name != HEAD}
        self.total, self.known = sum(known.values()), known
        self.senders = {}
        for name, module in model.named_modules():
            path = name.split(".", 2)  # blocks.<layer>.<site>
            if len(path) == 3 and path[2] in READERS:
                self.senders[module] = f"blocks.{path[1]}.{READERS[path[2]]}"

    @contextmanager
    def watching(self) -> Iterator[list[Tensor]]:
        """The list holds each sender's share of all weights, once the model has run."""
        found: list[Tensor] = []
        read = set(self.senders.values())
        found.append(torch.tensor(sum(size for name, size in self.known.items() if name not in read) / self.total))

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            sent = output[0] if isinstance(output, tuple) else getattr(output, "value", output)
            if type(module).__name__ == "LIF":
                fired = sent.mean()
            else:
                fired = EventFunction.apply(_above(module, inputs), sent.detach()).mean()
            found.append(fired * (self.known[self.senders[module]] / self.total))

        hooks = [module.register_forward_hook(note) for module in self.senders]
        try:
            yield found
        finally:
            for hook in hooks:
                hook.remove()


def _read(inputs: tuple[Any, ...]) -> Tensor:
    """What a module of a float network, or a unit of a quantized one, is given."""
    return getattr(inputs[-1], "value", inputs[-1])  # type: ignore[no-any-return]


def _above(module: Any, inputs: tuple[Any, ...]) -> Tensor:
    """What a hidden layer squares where it is positive."""
    x = _read(inputs)
    return x - module.theta() if hasattr(module, "theta") else x


class Events:
    """Counts, on the passes that it watches, what every matrix of a network read."""

    def __init__(self, model: nn.Module) -> None:
        self.matrices: dict[str, Any] = matrices(model)
        #: Tokens by their number of inputs that are not 0.
        self.tokens = {name: np.zeros(matrix.in_features + 1, np.int64) for name, matrix in self.matrices.items()}

    @contextmanager
    def watching(self) -> Iterator[None]:
        hooks = [
            module.register_forward_pre_hook(lambda _, inputs, name=name: self._count(name, inputs))
            for name, module in self.matrices.items()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _count(self, name: str, inputs: tuple[Any, ...]) -> None:
        fired = torch.count_nonzero(_read(inputs), dim=-1).flatten()
        tokens = self.tokens[name]
        tokens += torch.bincount(fired, minlength=len(tokens)).cpu().numpy()

    def per_token(self) -> dict[str, dict[str, float]]:
        """By matrix the inputs of a token that were not 0: their mean, and what 99 of 100 tokens do not exceed."""
        return {
            name: {
                "mean": float(tokens @ np.arange(len(tokens)) / tokens.sum()),
                "p99": int(np.searchsorted(tokens.cumsum(), 0.99 * tokens.sum())),
            }
            for name, tokens in self.tokens.items()
            if tokens.any()
        }

    def rates(self) -> dict[str, float]:
        """The share of inputs that were not 0, by matrix."""
        return {name: found["mean"] / self.matrices[name].in_features for name, found in self.per_token().items()}

    def share(self, head: bool = False) -> float:
        """The share of all weights that were added; ``head``: with those of the head."""
        sizes = {name: weights(matrix) for name, matrix in self.matrices.items() if head or name != HEAD}
        rates = self.rates()
        return sum(rates[name] * size for name, size in sizes.items()) / sum(sizes.values())
