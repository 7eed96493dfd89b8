"""Our operations as hls4ml layers: one class per Operation, and Fork, which copies a stream to its readers.

Every width comes from the Operation. hls4ml's default precision never applies, because every output type is set when
the layer is made, before any pass could infer one.
"""

from __future__ import annotations

from typing import Any

from hls4ml.model.attributes import Attribute, ConfigurableAttribute
from hls4ml.model.layers import Layer, layer_map, register_layer
from hls4ml.model.types import FixedPrecisionType

from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import OPERATIONS, Linear, Operation


def precision(fmt: Format) -> FixedPrecisionType:
    """``ap_fixed`` or ``ap_ufixed`` with the same bits and binary point."""
    return FixedPrecisionType(fmt.bits, fmt.bits - fmt.frac, fmt.signed)


class OperationLayer(Layer):
    """A layer that is one Operation, a token per call: output (1, n_out), parameters as integers in ``params``."""

    _expected_attributes = (
        Attribute("operation", value_type=Operation),
        ConfigurableAttribute("lanes", default=1),
        ConfigurableAttribute("contexts", default=1),
    )

    @property
    def operation(self) -> Operation:
        return self.get_attr("operation")  # type: ignore[no-any-return]

    def initialize(self) -> None:
        self.set_attr("params", {})
        self.initialize_output()

    def initialize_output(self) -> None:
        self.add_output_variable((1, self.operation.n_out), precision=precision(self.operation.out))


class LinearLayer(OperationLayer):
    """A matrix, which is folded: by ReuseFactor, on the engine that it shares, driven by events."""

    _expected_attributes = (
        ConfigurableAttribute("reuse_factor", default=1),
        ConfigurableAttribute("engine", value_type=bool, default=False),
        ConfigurableAttribute("events", value_type=bool, default=False),
    )


class Fork(Layer):
    """Copies its input to each output: two readers of one stream are two streams."""

    _expected_attributes = (
        Attribute("channels"),
        Attribute("format", value_type=Format),
        ConfigurableAttribute("lanes", default=1),
        ConfigurableAttribute("contexts", default=1),
    )

    def initialize(self) -> None:
        shape = (1, self.get_attr("channels"))
        for i, name in enumerate(self.outputs):
            precision_ = precision(self.get_attr("format"))
            self.add_output_variable(shape, name, var_name=f"layer{{index}}_out{i}", precision=precision_)


#: The hls4ml layer class of each operation.
LAYERS: dict[str, type[OperationLayer]] = {
    name: type(name, (LinearLayer if operation is Linear else OperationLayer,), {})
    for name, operation in OPERATIONS.items()
}


def register_layers() -> None:
    """Make hls4ml know the classes. Safe while hls4ml itself is still being imported."""
    known: dict[str, Any] = {**LAYERS, "Fork": Fork}
    for name, cls in known.items():
        if name not in layer_map:
            register_layer(name, cls)
