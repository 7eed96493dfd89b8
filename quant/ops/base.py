"""What every operation has in common: attributes, streams, parameters, state, and one NumPy meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.quant.format import ExactnessError, Format, Ints

State = dict[str, Ints]


@dataclass(frozen=True)
class Operation:
    """One operation of the network.

    The dataclass fields are the ONNX attributes (a ``Format`` travels as ``[bits, frac, signed]``), so this class is at
    once the schema of the custom op, the description that both hls4ml backends read, and the integer meaning that all
    of them must equal.

    Streams have shape (batch, tokens, channels); a state has shape (batch, channels) and starts at ``initial_state``.
    """

    streams: ClassVar[tuple[str, ...]] = ("x",)
    params: ClassVar[tuple[str, ...]] = ()
    state: ClassVar[tuple[str, ...]] = ()

    out: Format

    def prepare(self, params: Mapping[str, Ints]) -> Mapping[str, NDArray]:
        """The parameters in the form that ``run``, which takes either, computes with: for many runs with the same."""
        return params

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        """Integers in, integers out, and the state after the last token."""
        raise NotImplementedError

    def __call__(self, *streams: Ints, **params: Ints) -> Ints:
        """The output alone, from the initial state."""
        return self.run(streams, params, self.initial_state(len(streams[0])))[0]

    @property
    def n_in(self) -> int:
        """Channels of the first stream."""
        return self.channels  # type: ignore[attr-defined,no-any-return]

    @property
    def n_out(self) -> int:
        """Channels of the output."""
        return self.n_in

    def stream_format(self, name: str) -> Format:
        return getattr(self, name)  # type: ignore[no-any-return]

    def param_format(self, name: str) -> Format:
        return getattr(self, name)  # type: ignore[no-any-return]

    def param_shape(self, name: str) -> tuple[int, ...]:
        return (self.n_in,)

    def state_format(self, name: str) -> Format:
        raise KeyError(name)

    def initial_state(self, batch: int) -> State:
        return {name: np.zeros((batch, self.n_in), np.int64) for name in self.state}

    def check_inputs(self, node: str, count: int) -> None:
        """ExactnessError unless a node's inputs are the streams, the parameters, and all of the states or none."""
        known = (*self.streams, *self.params)
        if count not in (len(known), len(known) + len(self.state)):
            raise ExactnessError(
                f"node {node!r} has {count} inputs, but a {type(self).__name__} reads {', '.join(known)}: "
                "if another version exported this graph, export it again from its checkpoint"
            )

    def attributes(self) -> dict[str, int | list[int]]:
        """ONNX attributes: integers, and formats as three integers; what is at its default is left out."""
        flat: dict[str, int | list[int]] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            flat[field.name] = [value.bits, value.frac, int(value.signed)] if isinstance(value, Format) else value
        return flat

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Self:
        """The inverse of ``attributes``; attributes of other origin are ignored."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in attributes and field.default is not MISSING:
                continue
            value = attributes[field.name]
            is_format = not isinstance(value, int)
            values[field.name] = Format(int(value[0]), int(value[1]), bool(value[2])) if is_format else int(value)
        return cls(**values)
