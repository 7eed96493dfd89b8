"""Executing exported graphs with qonnx, in integers; never loads torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.quant.errors import GraphError
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.graph import check, operations, source_of

#: A state of the stepwise graph: int64 (batch, channels) by ``<node>.<state>``.
GraphState = dict[str, Ints]


def load(path: str | Path) -> ModelWrapper:
    """An ONNX file; ModelError where there is none."""
    try:
        return ModelWrapper(str(path))
    except Exception as error:
        raise ModelError(f"{path} is missing or no ONNX model") from error


def with_tokens(model: ModelWrapper, batch: int, tokens: int) -> ModelWrapper:
    """A copy of a sequence graph for a batch of so many tokens, every shape set anew; GraphError as in ``execute``."""
    check(model.graph)
    if "tokens" not in {value.name for value in model.graph.input}:
        raise GraphError("the graph has no input called 'tokens'")
    copy = ModelWrapper(model.model, make_deepcopy=True)
    channels = source_of(copy.graph).shape
    element = copy.get_tensor_valueinfo("tokens").type.tensor_type.elem_type
    copy.set_tensor_shape("tokens", [batch, tokens, *channels], dtype=element)
    for node, operation in operations(copy.graph):
        copy.set_tensor_shape(node.output[0], [batch, tokens, operation.n_out])
    return copy


def execute(model: ModelWrapper | str | Path, tokens: NDArray) -> dict[str, Ints]:
    """Every node's output as integers (B, T, channels), by node name, for what comes into the sequence graph: ids
    (B, T) or integers (B, T, channels).

    GraphError names a node whose attributes, streams or parameters are not what they must be.
    """
    shaped = with_tokens(model if isinstance(model, ModelWrapper) else load(model), *np.shape(tokens)[:2])
    given = source_of(shaped.graph).tensor(tokens)
    return _integers(shaped, execute_onnx(shaped, {"tokens": given}, return_full_exec_context=True))


def execute_step(
    model: ModelWrapper, token: int | Ints, state: GraphState | None = None
) -> tuple[dict[str, Ints], GraphState]:
    """Every node's output (1, 1, channels) for one token of the stepwise graph, and the state after it.

    The token is an id or integers (channels,). GraphError as in ``execute``.
    """
    state = initial_state(model) if state is None else state
    given = source_of(model.graph).tensor(np.asarray(token)[None, None])
    context = execute_onnx(model, {"tokens": given, **state}, return_full_exec_context=True)
    return _integers(model, context), {name: context[f"{name}.after"] for name in state}


def initial_state(model: ModelWrapper, batch: int = 1) -> GraphState:
    """What the stepwise graph reads before the first token of ``batch`` sequences, in the order of its inputs."""
    return {
        f"{node.name}.{name}": value
        for node, operation in operations(model.graph)
        for name, value in operation.initial_state(batch).items()
    }


def _integers(model: ModelWrapper, context: dict[str, NDArray]) -> dict[str, Ints]:
    return {
        node.name: operation.out.integers(context[node.output[0]], node.name)
        for node, operation in operations(model.graph)
    }
