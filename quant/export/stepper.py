"""The integer model one token at a time, for text: no module, no quantizer, nothing but the operations."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks

#: Integers (B, channels) by node and state.
State = dict[str, dict[str, Ints]]


class Stepper:
    """``step`` equals the network's bit for bit, with parameters quantized once instead of at every token."""

    def __init__(self, network: QuantSpikeGPT) -> None:
        self.nodes = [replace(node, params=node.operation.prepare(node.params)) for node in blocks(network)]

    def step(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Ids (B,) to logits (B, outputs), and the state after them."""
        streams: dict[str, Ints] = {"tokens": ids.numpy()[:, None]}
        after: State = {}
        for node in self.nodes:
            before = node.operation.initial_state(len(ids)) if state is None else state[node.name]
            inputs = [streams[name] for name in node.inputs]
            streams[node.name], after[node.name] = node.operation.run(inputs, node.params, before)
        last = self.nodes[-1]
        return torch.from_numpy(last.operation.out.real(streams[last.name])[:, 0]).float(), after
