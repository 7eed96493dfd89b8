"""How often neurons fire, and which never or always do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

TOO_MANY_DEAD = 0.2  # of a layer


@dataclass(frozen=True)
class Layer:
    """Spikes per neuron and token, and the fractions of neurons that never fired and that fired at every token."""

    rate: float
    dead: float
    saturated: float


class Firing:
    """Counts the spikes of every ``LIF`` in a network, float or quantized, on the passes that it watches."""

    def __init__(self, model: nn.Module) -> None:
        self.neurons = {name: module for name, module in model.named_modules() if type(module).__name__ == "LIF"}
        self.reset()

    def reset(self) -> None:
        self.spikes: dict[str, Tensor] = {}  # (channels,)
        self.tokens = dict.fromkeys(self.neurons, 0)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hooks stand only within, so that other passes cost nothing."""
        hooks = [module.register_forward_hook(partial(self._count, name)) for name, module in self.neurons.items()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _count(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        spikes = (output[0] if isinstance(output, tuple) else output.value).detach()  # (B, T, C)
        total = spikes.sum((0, 1), dtype=torch.float32)  # exact below 2**24 tokens
        self.spikes[name] = self.spikes[name] + total if name in self.spikes else total
        self.tokens[name] += spikes.shape[0] * spikes.shape[1]

    def layers(self) -> dict[str, Layer]:
        """What was counted since the last ``reset``, by layer."""
        return {name: _layer(spikes.cpu(), self.tokens[name]) for name, spikes in self.spikes.items()}


def _layer(spikes: Tensor, tokens: int) -> Layer:
    return Layer(
        rate=float(spikes.double().mean()) / tokens,
        dead=float((spikes == 0).double().mean()),
        saturated=float((spikes == tokens).double().mean()),
    )


def overall(layers: Mapping[str, Layer]) -> Layer:
    """The mean over layers, which are equally wide."""
    count = max(len(layers), 1)
    means = {key: sum(asdict(layer)[key] for layer in layers.values()) / count for key in Layer.__dataclass_fields__}
    return Layer(**means)


def warning(layers: Mapping[str, Layer]) -> str | None:
    """A sentence where more than a fifth of a layer is dead."""
    bad = {name: layer.dead for name, layer in layers.items() if layer.dead > TOO_MANY_DEAD}
    if not bad:
        return None
    worst = max(bad, key=bad.__getitem__)
    return (
        f"in {len(bad)} of {len(layers)} LIF layers more than {TOO_MANY_DEAD:.0%} of the neurons never fire; "
        f"{worst} is the worst with {bad[worst]:.0%}: a lower learning rate may keep them alive"
    )
