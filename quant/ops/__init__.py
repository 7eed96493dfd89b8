"""One file per operation: its schema and its integer meaning. The same names are used in every other folder."""

from spikegpt_hls.quant.operation.base import Operation, Source, State
from spikegpt_hls.quant.ops.embedding import BIT, BinaryEmbedding
from spikegpt_hls.quant.ops.gate import Gate
from spikegpt_hls.quant.ops.graded_spike import GradedSpike
from spikegpt_hls.quant.ops.layernorm import LayerNorm
from spikegpt_hls.quant.ops.lif import LIF
from spikegpt_hls.quant.ops.linear import Linear
from spikegpt_hls.quant.ops.residual import Residual
from spikegpt_hls.quant.ops.sigmoid import Sigmoid
from spikegpt_hls.quant.ops.squared_relu import SquaredReLU
from spikegpt_hls.quant.ops.token_shift import TokenShift
from spikegpt_hls.quant.ops.wkv import WKV

#: Every operation by its ONNX op type.
OPERATIONS: dict[str, type[Operation]] = {
    cls.__name__: cls
    for cls in (
        BinaryEmbedding,
        LayerNorm,
        TokenShift,
        Linear,
        Sigmoid,
        WKV,
        Gate,
        LIF,
        SquaredReLU,
        GradedSpike,
        Residual,
    )
}
#: The name of each in every other folder, by its op type: that of its file here.
NAMES: dict[str, str] = {kind: cls.__module__.rpartition(".")[2] for kind, cls in OPERATIONS.items()}

__all__ = [
    "BIT",
    "LIF",
    "NAMES",
    "OPERATIONS",
    "WKV",
    "BinaryEmbedding",
    "Gate",
    "GradedSpike",
    "LayerNorm",
    "Linear",
    "Operation",
    "Residual",
    "Sigmoid",
    "Source",
    "SquaredReLU",
    "State",
    "TokenShift",
]
