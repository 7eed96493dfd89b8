"""The quantized network as QONNX: whole sequences (``model.onnx``), and one token per step (``model_step.onnx``).

In ``model.onnx`` the input is ``tokens``, ids (1, T) or channels (1, T, C), and the output ``logits`` (1, T, outputs),
whatever a network's last node is. ``model_step.onnx`` has T = 1, the further inputs ``<node>.<state>`` (1, channels),
int64, and the outputs ``<node>.<state>.after``. A node is named as in ``quant.network.blocks``, its output tensor
``<node>.out``, its parameters ``<node>.<parameter>``.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from brevitas.export import export_qonnx
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import GiveUniqueParameterTensors
from qonnx.util.cleanup import cleanup_model
from torch import Tensor, nn

from spikegpt_hls.model.files import write_atomically
from spikegpt_hls.quant.graph import DOMAIN, NAME, is_stateful, operation_of, operations
from spikegpt_hls.quant.network import blocks
from spikegpt_hls.quant.qonnx_ops import datatypes
from spikegpt_hls.quant.units import SOURCE, Network

SEQUENCE, STEP = "model.onnx", "model_step.onnx"
OPSET = 13


class Step(nn.Module):
    """One token with its states as explicit inputs and outputs, in the order of ``keys``."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.initial = {
            f"{node.name}.{name}": torch.from_numpy(value)
            for node in blocks(network)
            for name, value in node.operation.initial_state(1).items()
        }

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        logits, after = self.network.run(x, dict(zip(self.initial, states, strict=True)))
        return logits, *(after[key] for key in self.initial)


def export(network: Network, folder: str | Path, tokens: int = 16) -> tuple[Path, Path]:
    """Write both graphs into ``folder``; ``tokens`` is the sequence length that ``model.onnx`` is written with."""
    sequence = export_sequence(network, folder, tokens)
    step = Step(network)
    stepwise = _named(_exported(step.eval(), (network.silence(1), *step.initial.values())))
    return sequence, _save(stepwise, Path(folder) / STEP)


def export_sequence(network: Network, folder: str | Path, tokens: int = 16) -> Path:
    """Write ``model.onnx`` alone, which is all that becomes hardware."""
    return _save(_named(_exported(network.eval(), (network.silence(tokens),))), Path(folder) / SEQUENCE)


def _exported(module: nn.Module, args: tuple[Tensor, ...]) -> ModelWrapper:
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = os.path.join(folder, "raw.onnx")
        export_qonnx(module, args=args, export_path=path, dynamo=False, opset_version=OPSET)
        return cleanup_model(ModelWrapper(path)).transform(GiveUniqueParameterTensors())


def _named(model: ModelWrapper) -> ModelWrapper:
    """Give nodes and tensors the names that every other folder uses."""
    model.rename_tensor(model.graph.input[0].name, SOURCE)
    for node in [n for n in model.graph.node if n.domain == DOMAIN]:
        operation = operation_of(node)
        mark = next(attribute for attribute in node.attribute if attribute.name == NAME)
        node.attribute.remove(mark)
        node.name = helper.get_attribute_value(mark).decode()
        count = len(operation.streams)
        for tensor, name in zip(list(node.input)[count:], operation.params, strict=False):
            _name_parameter(model, tensor, f"{node.name}.{name}")
        if is_stateful(node, operation):
            for before, after, name in zip(
                list(node.input)[-len(operation.state) :], list(node.output)[1:], operation.state, strict=True
            ):
                model.rename_tensor(before, f"{node.name}.{name}")
                model.rename_tensor(after, f"{node.name}.{name}.after")
        model.rename_tensor(node.output[0], f"{node.name}.out")
    model.rename_tensor(model.graph.output[0].name, "logits")
    return model


def _name_parameter(model: ModelWrapper, tensor: str, name: str) -> None:
    producer = model.find_producer(tensor)
    if producer is not None:  # a Quant node around the trained weight
        producer.name = f"{name}.quant"
        model.rename_tensor(producer.input[0], f"{name}.float")
        for value, part in zip(list(producer.input)[1:], ("scale", "zero_point", "bit_width"), strict=True):
            model.rename_tensor(value, f"{name}.{part}")
    model.rename_tensor(tensor, name)


def _annotated(model: ModelWrapper) -> ModelWrapper:
    """Say of every tensor what it holds."""
    for node, operation in operations(model.graph):
        for tensor, datatype in datatypes(node, operation).items():
            model.set_tensor_datatype(tensor, datatype)
    return model


def _save(model: ModelWrapper, path: Path) -> Path:
    write_atomically(path, _annotated(model).model.SerializeToString())
    return path
