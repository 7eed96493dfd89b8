"""What every operation has in common: attributes, streams, parameters, state, and one NumPy meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.quant.errors import GraphError
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.operation.schema import Result, Rule, domains

State = dict[str, Ints]


@dataclass(frozen=True)
class Source:
    """What a token of a stream is: an id, whose ``shape`` is (), or so many channels; ``format`` is a number's.

    A network says it once of what comes in; behind that its first operation says it, in every graph.
    """

    format: Format
    shape: tuple[int, ...] = ()

    def tensor(self, integers: NDArray) -> NDArray:
        """What a graph reads for them: ids are int64, channels real values, float32."""
        if not self.shape:
            return np.asarray(integers, np.int64)
        return self.format.real(np.asarray(integers)).astype(np.float32)

    def __str__(self) -> str:
        return " x ".join([*map(str, self.shape), str(self.format)]) if self.shape else f"ids of {self.format}"


@dataclass(frozen=True)
class Operation:
    """One operation of the network.

    The dataclass fields are the ONNX attributes (a ``Format`` travels as ``[bits, frac, signed]``), each with its
    domain, so this class is at once the schema of the custom op, the description that both hls4ml backends read, and
    the integer meaning that all of them must equal.

    Streams have shape (batch, tokens, channels); a state has shape (batch, channels) and starts at ``initial_state``.
    """

    streams: ClassVar[tuple[str, ...]] = ("x",)
    params: ClassVar[tuple[str, ...]] = ()
    state: ClassVar[tuple[str, ...]] = ()
    #: The attributes that are the shape of a parameter; the last counts the channels of the streams.
    axes: ClassVar[tuple[str, ...]] = ("channels",)
    #: What attributes must be beside each other.
    rules: ClassVar[tuple[Rule, ...]] = ()
    #: Attributes of earlier versions, which mean nothing any more.
    retired: ClassVar[tuple[str, ...]] = ()

    out: Result

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
        """Channels of every stream."""
        return getattr(self, self.axes[-1])  # type: ignore[no-any-return]

    @property
    def n_out(self) -> int:
        """Channels of the output."""
        return self.n_in

    def stream_format(self, name: str) -> Format:
        return getattr(self, name)  # type: ignore[no-any-return]

    def param_format(self, name: str) -> Format:
        return getattr(self, name)  # type: ignore[no-any-return]

    def param_shape(self, name: str) -> tuple[int, ...]:
        return tuple(getattr(self, axis) for axis in self.axes)

    def stream_shape(self, name: str) -> tuple[int, ...]:
        """Behind batch and tokens."""
        return (self.n_in,)

    def source(self, name: str) -> Source:
        """What a token of a stream is."""
        return Source(self.stream_format(name), self.stream_shape(name))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every stream that has channels, and of the output: what lanes must divide."""
        return (*(channels for name in self.streams for channels in self.stream_shape(name)), self.n_out)

    def limits(self, name: str) -> tuple[int, int]:
        """The least and the most that a stream or a parameter may be: what its format holds, if not less."""
        fmt = self.stream_format(name) if name in self.streams else self.param_format(name)
        return fmt.lo, fmt.hi

    def integers(self, name: str, real: NDArray) -> Ints:
        """The integers of a stream or a parameter; GraphError where it has another shape, grid or range."""
        stream = name in self.streams
        shape = np.shape(real)[2:] if stream else np.shape(real)
        due = self.stream_shape(name) if stream else self.param_shape(name)
        if shape != due:
            raise GraphError(f"its {name} has the shape {shape}, and its {' x '.join(self.axes)} is {due}")
        n = (self.stream_format(name) if stream else self.param_format(name)).integers(real, f"its {name}")
        lo, hi = self.limits(name)
        if n.size and (n.min() < lo or n.max() > hi):
            raise GraphError(f"its {name} reaches {n.min()}..{n.max()}, and may be {lo}..{hi}")
        return n

    def state_format(self, name: str) -> Format:
        raise KeyError(name)

    def initial_state(self, batch: int) -> State:
        return {name: np.zeros((batch, self.n_in), np.int64) for name in self.state}

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
        """The inverse of ``attributes``; GraphError names the attribute that is missing, unknown or out of its domain,
        or that contradicts another one."""
        known = domains(cls)
        for name in attributes.keys() - known.keys() - set(cls.retired):
            raise GraphError(f"{cls.__name__} has no attribute {name!r}")
        for name in (f.name for f in fields(cls) if f.default is MISSING and f.name not in attributes):
            raise GraphError(f"its {name} is missing, and must be {known[name]}")
        operation = cls(**{name: _parsed(cls, name, attributes[name]) for name in known if name in attributes})
        for rule in cls.rules:
            if not rule.holds(operation):
                raise GraphError(f"its {rule.attribute} is {getattr(operation, rule.attribute)}, and must {rule.must}")
        return operation


def _parsed(cls: type, name: str, value: object) -> Any:
    try:
        return domains(cls)[name].parse(value)
    except GraphError as error:
        raise GraphError(f"its {name} {error}") from error
