"""hls4ml's profiling of our models: it knows names for two weights of a layer, and a WKV has three.

So it is shown each parameter as a layer of one weight, in real numbers, whatever the backend makes of it later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from hls4ml.model.types import WeightVariable

from spikegpt_hls.hls.frontend.layers import OperationLayer, precision

Table = Callable[..., Any]


@dataclass(frozen=True)
class _Profiled:
    """A layer as ``weights_hlsmodel`` and ``types_hlsmodel`` read it."""

    name: str
    weight: WeightVariable

    def get_weights(self) -> list[WeightVariable]:
        return [self.weight]


class _Parameters:
    """A model as they read it: its layers, ours by parameter."""

    def __init__(self, model: Any) -> None:
        self.config = model.config
        self.layers = [part for layer in model.get_layers() for part in _parts(layer)]

    def get_layers(self) -> list[Any]:
        return self.layers


def _parts(layer: Any) -> list[Any]:
    if not isinstance(layer, OperationLayer):
        return [layer]
    op, parts = layer.operation, []
    for name, integers in layer.get_attr("params").items():
        fmt = op.param_format(name)
        weight = WeightVariable(name, f"{name}{layer.index}_t", precision(fmt), fmt.real(integers))
        parts.append(_Profiled(f"{layer.name}/{name}", weight))
    return parts


def by_parameter(module: Any) -> None:
    """``hls4ml.model.profiling``, just imported, reads our layers by parameter."""
    for name in ("weights_hlsmodel", "types_hlsmodel"):
        setattr(module, name, _shown(getattr(module, name)))


def _shown(table: Table) -> Table:
    @wraps(table)
    def of_parameters(model: Any, *args: Any, **kwargs: Any) -> Any:
        return table(_Parameters(model), *args, **kwargs)

    return of_parameters
