"""The integer network on held-out text, piece by piece: its loss, and what every node writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from spikegpt_hls.model.corpus.tokenizer import Ids
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.training.evaluate import windows
from spikegpt_hls.quant.export.vectors import smallest_dtype
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks
from spikegpt_hls.quant.units import Run

TOKENS = 1024  # at a time: the traces of a network are large


@dataclass(frozen=True)
class Piece:
    """Some windows of equal length, back to back: ``nats`` of all their predictions, and every node's output."""

    lengths: tuple[int, ...]
    nats: float
    traces: dict[str, Ints]  # node to (tokens, channels)

    @property
    def tokens(self) -> int:
        return sum(self.lengths)


def pieces(network: QuantSpikeGPT, ids: Ids, context: int, count: int) -> Iterator[Piece]:
    """``count`` predictions from the start of ``ids``, in windows of ``context``, each from the initial state: as the
    validation loss is measured."""
    if len(ids) < count + 1:
        raise ModelError(f"{len(ids)} tokens are held out; to predict {count} takes one more than that")
    ids, formats = ids[: count + 1], {node.name: node.operation.out for node in blocks(network.eval())}
    starts = windows(ids, context)
    whole = [start for start in starts if start + context < len(ids)]
    rows = max(1, TOKENS // context)
    groups = [whole[i : i + rows] for i in range(0, len(whole), rows)] + [[s] for s in starts[len(whole) :]]
    for group in groups:
        batch = torch.from_numpy(np.stack([ids[start : start + context + 1] for start in group]).astype(np.int64))
        run = Run(trace={})
        with torch.no_grad():
            logits = network.compute(run, batch[:, :-1]).double()
        nats = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum")
        written = {
            name: formats[name].integers(value.numpy(), name).astype(smallest_dtype(formats[name]))
            for name, value in (run.trace or {}).items()
        }
        flat = {name: value.reshape(-1, value.shape[-1]) for name, value in written.items()}
        yield Piece((batch.shape[1] - 1,) * len(group), float(nats), flat)
