"""The integer model one token at a time, for text: no module, no quantizer, nothing but the operations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.kernels.program import Program, library, prepare
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks

#: Every state of every node, in the program's order.
State = Ints


class Stepper:
    """``step`` equals the network's bit for bit, with parameters prepared once and operations compiled."""

    def __init__(self, network: QuantSpikeGPT) -> None:
        self.library = library()
        self.nodes = prepare(blocks(network), self.library)
        self.programs: dict[int, Program] = {}  # by the number of sequences

    def step(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Ids (B,) to logits (B, outputs), and the state after them."""
        program = self.program(len(ids))
        program.ids[:, 0] = ids.numpy()
        program.memory[:] = program.initial if state is None else state
        program.run()
        logits = self.nodes[-1].operation.out.real(program.out.astype(np.int64))
        return torch.from_numpy(logits).float(), program.memory.copy()

    def program(self, batch: int) -> Program:
        if batch not in self.programs:
            self.programs[batch] = Program(self.nodes, batch, self.library)
        return self.programs[batch]
