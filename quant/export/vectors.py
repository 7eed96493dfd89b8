"""Golden vectors: what every node writes, and every state after each sequence, for held-out tokens.

``vectors.npz`` holds ``tokens``, ids (N,) or integers (N, channels), the sequences back to back;
``lengths`` (sequences,); ``<node>`` (N, channels), each node's output as integers of its format; and
``<node>.<state>`` (sequences, channels).
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.files import write_atomically
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.network import blocks
from spikegpt_hls.quant.units import SOURCE, Network, Run

VECTORS = "vectors.npz"


def sequence_lengths(tokens: int, sequences: int) -> list[int]:
    """``tokens`` in parts as 1 : 2 : 3 ..., all different; ModelError where there are too few tokens for that."""
    shares = range(1, sequences + 1)
    if sequences < 1 or tokens < sum(shares):
        raise ModelError(f"{sequences} sequences of different lengths need {sum(shares)} tokens or more, not {tokens}")
    lengths = [tokens * share // sum(shares) for share in shares]
    lengths[-1] += tokens - sum(lengths)
    return lengths


def trace(network: Network, sequences: Sequence[NDArray]) -> dict[str, NDArray]:
    """The vectors of these token sequences, each from the initial state."""
    formats = formats_of(network)
    runs = [_trace_one(network, ids, formats) for ids in sequences]
    vectors: dict[str, NDArray] = {
        SOURCE: np.concatenate(sequences).astype(np.int32),
        "lengths": np.array([len(ids) for ids in sequences], np.int32),
    }
    for name, fmt in formats.items():
        vectors[name] = np.concatenate([run[name] for run in runs]).astype(smallest_dtype(fmt))
    return vectors


def formats_of(network: Network) -> dict[str, Format]:
    """The format of every vector: nodes' outputs, then states."""
    nodes = blocks(network)
    outputs = {node.name: node.operation.out for node in nodes}
    return outputs | {
        f"{node.name}.{state}": node.operation.state_format(state) for node in nodes for state in node.operation.state
    }


def smallest_dtype(fmt: Format) -> type[np.integer]:
    """The narrowest signed type that holds the format."""
    bits = fmt.bits + (not fmt.signed)
    return next(t for t in (np.int8, np.int16, np.int32, np.int64) if bits <= np.iinfo(t).bits)


def _trace_one(network: Network, ids: NDArray, formats: dict[str, Format]) -> dict[str, NDArray]:
    """Outputs (T, channels) and last states (1, channels) of one sequence."""
    run = Run(state={}, trace={})
    with torch.no_grad():
        network.eval().compute(run, network.tensor(ids))
    outputs = {name: formats[name].integers(value.numpy()[0], name) for name, value in (run.trace or {}).items()}
    return outputs | {name: value.numpy() for name, value in run.after.items()}


def write(vectors: dict[str, NDArray], folder: str | Path) -> Path:
    """``vectors.npz`` in ``folder``, whole or not at all."""
    path = Path(folder) / VECTORS
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **vectors)
    write_atomically(path, buffer.getvalue())
    return path


def golden(network: Network, ids: NDArray, folder: str | Path, tokens: int = 512, sequences: int = 3) -> Path:
    """Trace the first ``tokens`` of the held-out ``ids`` in ``sequences`` unequal parts and write them."""
    lengths = sequence_lengths(tokens, sequences)
    if len(ids) < tokens:
        raise ModelError(f"{len(ids)} tokens are held out, {tokens} were asked for")
    return write(trace(network, np.split(ids[:tokens], np.cumsum(lengths)[:-1])), folder)
