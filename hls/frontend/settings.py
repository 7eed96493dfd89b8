"""What a configuration of hls4ml's asks of our layers: done, brought to the nearest that can be, or refused by name.

Lanes and Contexts are one number for the whole model, under ``Model`` or the same for every layer. A Linear has
ReuseFactor, Engine and Events. Widths are the QONNX model's, and multipliers follow ReuseFactor alone, so Precision and
Strategy have nothing to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hls4ml.model.graph import ModelGraph
from hls4ml.model.optimizer import ModelOptimizerPass

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.fold.limits import check, padded_params, padding, with_padding
from spikegpt_hls.hls.frontend.layers import OperationLayer
from spikegpt_hls.quant.ops import Linear

PRECISION = "fixed<16,6>"  # hls4ml's default, which none of our layers takes
STRATEGY = "Latency"  # as above


class Settings(ModelOptimizerPass):
    """The configuration into our layers' attributes; ConversionError where it cannot be."""

    name = "spikegpt_settings"

    def __init__(self) -> None:
        pass

    def transform(self, model: ModelGraph) -> bool:
        nodes = {node.name: node for node in model.graph.values() if isinstance(node, OperationLayer)}
        if not nodes:
            return False
        _refuse(model, nodes)
        lanes, contexts = (_one(model, nodes, name) for name in ("lanes", "contexts"))
        _pad(model, nodes.values(), lanes)
        operations = {name: node.operation for name, node in nodes.items()}
        check(operations, lanes, contexts, model.config.backend.name)
        for node in nodes.values():
            factor = _reuse_factor(node, lanes)
            node.set_attr("reuse_factor", factor)
            model.config.layer_name_rf[node.name.lower()] = factor  # hls4ml's backends ask again
        return False


def _refuse(model: ModelGraph, nodes: Mapping[str, OperationLayer]) -> None:
    asked: dict[str, Any] = model.config.config["HLSConfig"]
    whole = asked.get("Model") or {}
    if _values(whole.get("Precision")) - {PRECISION}:
        raise ConversionError("Precision of Model: widths are those of the QONNX model; leave it out")
    if whole.get("Strategy", STRATEGY).lower() != STRATEGY.lower():
        raise ConversionError("Strategy of Model: a Linear has the multipliers of its ReuseFactor; leave it out")
    for place in ("LayerName", "LayerType"):
        for name, settings in (asked.get(place) or {}).items():
            layer = name.partition("__")[0]  # whose parameter it is
            if place == "LayerName" and layer not in nodes and name not in model.graph:
                raise ConversionError(f"no layer is named {name!r}; there are {', '.join(nodes)}")
            _refuse_of_layer(name, settings or {})


def _refuse_of_layer(name: str, settings: Mapping[str, Any]) -> None:
    if _values(settings.get("Precision")) - {"auto", PRECISION}:
        raise ConversionError(f"Precision of {name}: its widths are those of the QONNX model; leave it out")
    if "Strategy" in settings:
        raise ConversionError(f"Strategy of {name}: a Linear has the multipliers of its ReuseFactor; leave it out")


def _values(precision: Any) -> set[str]:
    return {str(value) for value in (precision.values() if isinstance(precision, Mapping) else [precision])} - {"None"}


def _one(model: ModelGraph, nodes: Mapping[str, OperationLayer], name: str) -> int:
    """The lanes or contexts of all layers: those of ``Model``, which hls4ml does not name by itself, before the 1 that
    it names for every layer."""
    key = name.capitalize()
    whole = (model.config.config["HLSConfig"].get("Model") or {}).get(key)
    if whole is not None:
        for node in nodes.values():
            if node.get_attr(name) == 1:
                node.set_attr(name, whole)
    values = {node.get_attr(name): node.name for node in reversed(list(nodes.values()))}  # the first of each
    if len(values) > 1:
        named = ", ".join(f"{owner} has {value}" for value, owner in sorted(values.items()))
        raise ConversionError(f"{key} is one number for all layers: {named}")
    return int(next(iter(values)))


def _pad(model: ModelGraph, nodes: Iterable[OperationLayer], lanes: int) -> None:
    """Whole beats of logits: outputs of weights that are 0."""
    for node in nodes:
        more = padding(node.operation, lanes) if node.outputs[0] in model.outputs else 0
        if more:
            node.set_attr("padding", more)
            node.set_attr("operation", with_padding(node.operation, more))
            node.set_attr("params", padded_params(node.get_attr("params"), more))
            node.initialize_output()
            print(f"{node.name}: {more} more outputs, which are 0, make whole beats of {lanes} lanes")


def _reuse_factor(node: OperationLayer, lanes: int) -> int:
    """A Linear's, or the nearest that can be, with a warning as hls4ml's of its own layers."""
    op, asked = node.operation, int(node.get_attr("reuse_factor", 1))
    if not isinstance(op, Linear):
        return 1
    legal = legal_factors(op.inputs, op.outputs, lanes, node.get_attr("events"))
    if not legal:
        raise ConversionError(f"{node.name} ({op.inputs} x {op.outputs}) cannot be folded with {lanes} lanes")
    nearest = min(legal, key=lambda factor: (abs(factor - asked), factor))
    if nearest != asked:
        print(
            f'WARNING: Invalid ReuseFactor={asked} in layer "{node.name}". Using ReuseFactor={nearest} instead. '
            f"Valid ReuseFactor(s): {', '.join(map(str, legal))}."
        )
    return nearest
