"""Operations as torch functions: NumPy integers when run, one custom ONNX node when exported.

Activations and parameters travel as float32 real values, exact below 25 bits. States travel as int64 integers, because
a WKV numerator does not fit float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikegpt_hls.quant.graph import DOMAIN, NAME
from spikegpt_hls.quant.ops import Operation


class IntegerFunction(torch.autograd.Function):
    """Streams, parameters and (where ``stateful``) states to the output and (where ``stateful``) the states after."""

    @staticmethod
    def forward(ctx: Any, operation: Operation, node: str, stateful: bool, *tensors: Tensor) -> Any:
        streams, params, state = split(operation, stateful, tensors)
        inputs = [
            operation.stream_format(name).integers(value.detach().numpy(), f"{node}: stream {name}")
            for name, value in zip(operation.streams, streams, strict=True)
        ]
        constants = {
            name: operation.param_format(name).integers(value.detach().numpy(), f"{node}: {name}")
            for name, value in zip(operation.params, params, strict=True)
        }
        before = operation.initial_state(inputs[0].shape[0])
        before |= {name: value.numpy() for name, value in zip(operation.state, state, strict=False)}
        out, after = operation.run(inputs, constants, before)
        value = torch.from_numpy(operation.out.real(out)).float()
        if not stateful:
            return value
        return value, *(torch.from_numpy(after[name].copy()) for name in operation.state)

    @staticmethod
    def symbolic(g: Any, operation: Operation, node: str, stateful: bool, *tensors: Any) -> Any:
        attributes = {f"{name}_i": value for name, value in operation.attributes().items()}
        count = 1 + len(operation.state) if stateful else 1
        made = g.op(
            f"{DOMAIN}::{type(operation).__name__}", *tensors, outputs=count, **attributes, **{f"{NAME}_s": node}
        )
        outputs = (made,) if count == 1 else tuple(made)
        batch, tokens = tensors[0].type().sizes()[:2]
        outputs[0].setType(torch._C.TensorType.create_from_tensor(torch.zeros(batch, tokens, operation.n_out)))
        for output in outputs[1:]:
            output.setType(
                torch._C.TensorType.create_from_tensor(torch.zeros(batch, operation.n_in, dtype=torch.int64))
            )
        return made


def split(operation: Operation, stateful: bool, tensors: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Streams, parameters and states, in the order in which nodes read them."""
    first, second = len(operation.streams), len(operation.streams) + len(operation.params)
    return tensors[:first], tensors[first:second], tensors[second:] if stateful else ()


def run_integers(
    operation: Operation, node: str, streams: list[Tensor], params: dict[str, Tensor], state: dict[str, Tensor] | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The output and the states after, as ``<node>.<name>``; without ``state``, no states at all."""
    constants = [params[name] for name in operation.params]
    if state is None or not operation.state:
        return IntegerFunction.apply(operation, node, False, *streams, *constants), {}
    initial = operation.initial_state(int(streams[0].shape[0]))
    keys = [f"{node}.{name}" for name in operation.state]
    before = [
        state[key] if key in state else torch.from_numpy(initial[name])
        for key, name in zip(keys, operation.state, strict=True)
    ]
    value, *after = IntegerFunction.apply(operation, node, True, *streams, *constants, *before)
    return value, dict(zip(keys, after, strict=True))
