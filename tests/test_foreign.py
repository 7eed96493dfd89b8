"""Graphs of Brevitas's own layers: what QONNX computes of them is what the converted graph computes, or a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.export import export_qonnx
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from brevitas.quant.scaled_int import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat
from onnx import ModelProto, NodeProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model
from torch import Tensor, nn

from spikegpt_hls.hls.convert import convert, operations
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.plain_units import LIF
from spikegpt_hls.quant.units import Run, Stream
from spikegpt_hls.sim.cycles.schedule import simulate

INPUTS, HIDDEN, OUTPUTS, TOKENS = 6, 8, 4, 5
Made = Callable[[], nn.Module]


class Layers(nn.Module):
    """QuantIdentity, QuantLinear, QuantReLU, QuantLinear, as Brevitas's pages show them."""

    def __init__(self, *, weights: type = Int8WeightPerTensorFixedPoint, bias: bool = False, last: type | None = None):
        super().__init__()
        self.inp = qnn.QuantIdentity(act_quant=Uint8ActPerTensorFixedPoint, bit_width=4)
        self.key = qnn.QuantLinear(INPUTS, HIDDEN, bias=bias, weight_quant=weights)
        self.relu = qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=6)
        self.head = qnn.QuantLinear(
            HIDDEN,
            OUTPUTS,
            bias=False,
            weight_quant=Int8WeightPerTensorFixedPoint,
            weight_bit_width=4,
            output_quant=last,
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(self.key(self.inp(x))))  # type: ignore[no-any-return]

    def middle(self, x: Tensor) -> Tensor:
        return self.relu(x)  # type: ignore[no-any-return]


class Neurons(Layers):
    """Our LIF between Brevitas's layers, told of which format it reads."""

    def __init__(self) -> None:
        super().__init__(last=Int8ActPerTensorFixedPoint)
        self.relu = qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True)
        self.lif = LIF(HIDDEN)
        self.lif.node = "lif"

    def middle(self, x: Tensor) -> Tensor:
        if self.training:
            return self.relu(x).value  # type: ignore[no-any-return]
        quantized = self.relu(x)
        stream = Stream(quantized.value, Format(8, -round(float(quantized.scale.log2()))), "relu")
        return self.lif(Run(), stream).value  # type: ignore[no-any-return]


def exported(module: nn.Module, folder: Path, *, dynamo: bool = False, rank: int = 3) -> ModelProto:
    torch.manual_seed(0)
    for parameter in module.parameters():
        if parameter.dim() == 2:
            nn.init.normal_(parameter)
    for _ in range(4):  # quantizers observe
        module.train()(torch.rand(1, TOKENS, INPUTS))
    path = folder / "foreign.onnx"
    x = torch.rand(1, TOKENS, INPUTS) if rank == 3 else torch.rand(TOKENS, INPUTS)
    export_qonnx(module.eval(), args=(x,), export_path=str(path), dynamo=dynamo, opset_version=18 if dynamo else 13)
    return ModelWrapper(str(path)).model


def qonnx(model: ModelProto, fmt: Format, integers: Ints) -> np.ndarray:
    """The model as it was exported, by QONNX."""
    whole = cleanup_model(ModelWrapper(model.SerializeToString()))
    given = {whole.graph.input[0].name: fmt.real(integers).astype(np.float32)[None]}
    return execute_onnx(whole, given)[whole.graph.output[0].name][0]


def check(model: ModelProto, folder: Path) -> list[str]:
    """The blocks of the converted graph, whose integers are those of QONNX."""
    flow = dataflow(convert(model, folder, "SpikeRTL", lanes=2))
    fmt = flow.reader[flow.source][0].format_in[0]
    x = np.random.default_rng(0).integers(fmt.lo, fmt.hi + 1, (TOKENS, INPUTS))
    values = x[None]
    for block in flow.blocks:
        assert block.operation is not None
        values = block.operation(values, **block.params)
    want = qonnx(model, fmt, x)
    assert len(np.unique(want)) > 3
    np.testing.assert_array_equal(flow.driver[flow.sink].format_out.real(values[0]), want)
    return [block.kind for block in flow.blocks]


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("last", [None, Int8ActPerTensorFixedPoint])
def test_layers_of_brevitas_are_linears(tmp_path: Path, dynamo: bool, last: type | None) -> None:
    model = exported(Layers(last=last), tmp_path, dynamo=dynamo)
    assert check(model, tmp_path) == ["Linear", "Linear"]
    assert check(cleanup_model(ModelWrapper(model.SerializeToString())).model, tmp_path) == ["Linear", "Linear"]
    first, last_ = operations(model).values()
    assert (first.out.bits, first.out.signed, last_.out == last_.accumulator) == (6, False, last is None)  # type: ignore[attr-defined]


def test_a_neuron_of_ours_stands_between_them(tmp_path: Path) -> None:
    model = exported(Neurons(), tmp_path)
    assert check(model, tmp_path) == ["Linear", "LIF", "Linear"]
    flow = dataflow(convert(model, tmp_path, "SpikeRTL", lanes=2))
    assert len(simulate(flow, TOKENS).token_end) == TOKENS


SIGNED = Int8ActPerTensorFixedPoint
REFUSED: dict[str, Made] = {
    r"weight_quant.*its scale is 0\.\d+, and must be a power of two": lambda: Layers(weights=Int8WeightPerTensorFloat),
    r"its scale is one per channel, and must be one for the whole": lambda: Layers(weights=Int8WeightPerChannelFloat),
    r"its bias is not 0, and a Linear has none: bias=False is right": lambda: Layers(bias=True),
    r"there is no Softmax here: of other nodes": lambda: nn.Sequential(Layers(), nn.Softmax(-1)),
    r"a Quant must read the Relu behind '.*MatMul.*' \(QuantReLU has one\)": lambda: nn.Sequential(Layers(), nn.ReLU()),
    r"what it reads has no format: a Quant in front of it": lambda: nn.Sequential(nn.Linear(INPUTS, 4, bias=False)),
    r"its weight must be a constant behind a Quant, as in Brevitas's QuantLinear": lambda: nn.Sequential(
        qnn.QuantIdentity(act_quant=SIGNED), nn.Linear(INPUTS, 4, bias=False)
    ),
    r"a Relu stands between a matrix and its Quant": lambda: nn.Sequential(
        qnn.QuantIdentity(act_quant=SIGNED), nn.ReLU()
    ),
    r"it makes s4\.-?\d+ of s8\.-?\d+: a Quant reads a matrix, and no other Quant": lambda: nn.Sequential(
        Layers(last=SIGNED), qnn.QuantIdentity(act_quant=SIGNED, bit_width=4)
    ),
}


@pytest.mark.parametrize("says", REFUSED)
def test_what_has_no_meaning_here_is_refused_with_what_would_be_right(says: str, tmp_path: Path) -> None:
    model = exported(REFUSED[says](), tmp_path)
    with pytest.raises(ConversionError, match=says) as refused:
        convert(model, tmp_path, "SpikeRTL", lanes=2)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("node '")


def test_what_comes_in_is_batch_by_tokens_by_channels(tmp_path: Path) -> None:
    model = exported(Layers(), tmp_path, rank=2)
    with pytest.raises(ConversionError, match=r"must be batch x tokens x 6, and has the shape \(5, 6\)"):
        convert(model, tmp_path, "SpikeRTL", lanes=2)


def quant_behind(model: ModelProto, kind: str) -> NodeProto:
    """The Quant that reads the first node of a kind, or what comes in."""
    read = next((node.output[0] for node in model.graph.node if node.op_type == kind), model.graph.input[0].name)
    return next(node for node in model.graph.node if node.op_type == "Quant" and node.input[0] == read)


def with_attribute(node: NodeProto, name: str, value: int | str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def test_the_sign_behind_a_relu_and_a_quant_that_changes_nothing_are_nothing(tmp_path: Path) -> None:
    model = exported(Layers(), tmp_path)
    quant = quant_behind(model, "Relu")
    with_attribute(quant, "signed", 1)
    again = NodeProto()
    again.CopyFrom(quant)
    again.name, again.input[0], again.output[0] = "again", quant.output[0], "again"
    for node in model.graph.node:
        for port, tensor in enumerate(node.input):
            if tensor == quant.output[0]:
                node.input[port] = "again"
    model.graph.node.insert(list(model.graph.node).index(quant) + 1, again)
    assert check(model, tmp_path) == ["Linear", "Linear"]
    first, _ = operations(model).values()
    assert (first.out.bits, first.out.signed) == (5, False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("signed", 1, "rounding_mode", "FLOOR"), "its rounding mode is FLOOR, and must be ROUND"),
        (("signed", 1, "narrow", 1), "its range is narrow, which is for weights"),
    ],
)
def test_a_quant_that_hardware_does_not_do_is_refused(change: tuple[Any, ...], says: str, tmp_path: Path) -> None:
    model = exported(Layers(last=SIGNED), tmp_path)
    for name, value in zip(change[::2], change[1::2], strict=True):
        with_attribute(quant_behind(model, "Relu"), name, value)
    with pytest.raises(ConversionError, match=says):
        convert(model, tmp_path, "SpikeRTL", lanes=2)


def test_a_zero_point_is_refused(tmp_path: Path) -> None:
    model = exported(Layers(), tmp_path)
    quant = quant_behind(model, "nothing")
    model.graph.initializer.append(numpy_helper.from_array(np.array(1.0, np.float32), "one"))
    quant.input[2] = "one"
    with pytest.raises(ConversionError, match="its zero point is 1, and must be 0"):
        convert(model, tmp_path, "SpikeRTL", lanes=2)
