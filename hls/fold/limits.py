"""What no folding can give: lanes that do not divide the channels, too many contexts, sums that cannot be exact.

Logits that lanes do not divide get company, which is 0: a vocabulary may be any number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.quant.format import MAX_ACCUMULATOR_BITS, Ints
from spikegpt_hls.quant.ops import Linear, Operation

MAX_CONTEXTS = 256


def padding(op: Operation, lanes: int) -> int:
    """Outputs that the last Linear gets beside its own, so that they make whole beats."""
    return -op.n_out % lanes if isinstance(op, Linear) and lanes > 0 else 0


def padded(operations: Mapping[str, Operation], lanes: int) -> dict[str, Operation]:
    """The operations, in topological order, the last one with whole beats of outputs."""
    *others, (name, last) = operations.items()
    return {**dict(others), name: with_padding(last, padding(last, lanes))}


def with_padding(op: Operation, more: int) -> Operation:
    """A Linear with so many more outputs."""
    return replace(op, outputs=op.outputs + more) if isinstance(op, Linear) and more else op


def padded_params(params: Mapping[str, Ints], more: int) -> dict[str, Ints]:
    """Its parameters: the weights of those outputs are 0."""
    return {**params, "weight": np.pad(params["weight"], ((0, more), (0, 0)))} if more else dict(params)


def check(operations: Mapping[str, Operation], lanes: int, contexts: int, backend: str) -> None:
    """ConversionError where lanes, contexts or an accumulator are not possible."""
    for name, op in operations.items():
        for channels in op.widths:
            if lanes < 1 or channels % lanes:
                raise ConversionError(f"{lanes} lanes do not divide the {channels} channels of {name}")
        if isinstance(op, Linear) and (excess := op.accumulator.bits - MAX_ACCUMULATOR_BITS) > 0:
            raise ConversionError(
                f"{name} cannot be exact: its accumulator takes {op.accumulator.bits} bits, {excess} too many"
            )
    if not 1 <= contexts <= MAX_CONTEXTS:
        raise ConversionError(f"{contexts} contexts are not possible: 1 to {MAX_CONTEXTS} sequences are interleaved")
    if contexts > 1 and backend != "SpikeRTL":
        raise ConversionError(f"{contexts} contexts are for the RTL alone: the kernels of {backend} keep one state")
    if backend != "SpikeRTL" and all(op.stream_shape(name) for op in operations.values() for name in op.streams):
        raise ConversionError(f"a network that reads channels is for SpikeRTL: the kernels of {backend} read token ids")
