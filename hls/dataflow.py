"""The dataflow that an hls4ml graph stands for: blocks and the streams between them.

The RTL writer, the cycle simulator and the energy model all read this, and nothing else, of a converted graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.folding import Folding, fold
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops import OPERATIONS, Linear, Operation

#: Of ``dataflow.json``; another one where a block, or the meaning of one of its fields, changes.
VERSION = 3
#: Signed operand bits of a DSP48E1.
XC7_MULTIPLIER = (25, 18)


class Engine(NamedTuple):
    """What the Linears that share one array of multipliers have in common (``hls/fold/engine.py``): each member's
    number is its place in the line, the deepest in the network first."""

    members: int
    beats: int  # per token, the most of any member
    steps: int  # per token, of all members
    word_steps: int  # per result word, the most of any member
    x_bits: int
    x_signed: bool
    weight_bits: int
    sum_bits: int


class Rows(NamedTuple):
    """What the Linears have in common whose weights lie in a memory outside (``hls/fold/rows.py``)."""

    members: int
    layers: int
    batch: int  # tokens that share a reading of a row
    bus: int  # bits that come at once
    weight_bits: int
    x_bits: int  # of any input, signed
    sum_bits: int  # of any sum
    words: int  # of PE sums, that there are of each token
    shift: int  # the most by which a layer's weights are coarser than the others'
    beats: int  # of the longest token

    @property
    def pe(self) -> int:
        """Weights that come at once."""
        return self.bus // self.weight_bits


@dataclass(frozen=True)
class Block:
    """One block of the dataflow. A stream's name is the name of the port that drives it."""

    name: str
    operation: Operation | None  # None: a fork, which copies its input to each output, or the ring
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    channels_in: int
    channels_out: int
    format_in: tuple[Format, ...]  # one per input
    format_out: Format
    lanes: int  # channels per beat
    reuse_factor: int = 1  # Linear: cycles per token (with events: at most), so inputs * outputs / it multipliers
    fifo_depths: tuple[int, ...] = ()  # beats of the FIFO in front of each input of a join
    multiplier: tuple[int, ...] = XC7_MULTIPLIER  # signed operand bits of the target's multipliers: wide, narrow
    contexts: int = 1  # sequences that are interleaved: so many states
    events: bool = False  # Linear: whether it takes steps only for inputs that are not 0
    layers: int = 1  # that it computes in turn, with a state and constants for each; parameters have them in front
    places: int = 0  # the ring: tokens that may be inside
    patience: int = 0  # the ring: cycles that a wave waits for one more token
    rows: Rows | None = None  # Linear, embedding, ring: of a network whose weights lie in a memory
    padding: int = 0  # of the channels out: the last ones, which are always 0 and mean nothing
    engine: Engine | None = None  # Linear: whose multipliers it uses; None: its own
    params: Mapping[str, Ints] = field(default_factory=dict, compare=False)

    @property
    def kind(self) -> str:
        """The op type, ``Fork`` or ``Ring``."""
        if self.operation is None:
            return "Ring" if self.places else "Fork"
        return type(self.operation).__name__

    @property
    def folding(self) -> Folding:
        """Of a Linear; ConversionError where its ReuseFactor does not fold it."""
        assert isinstance(self.operation, Linear)
        return fold(self.operation, self.lanes, self.reuse_factor, self.name, self.events)

    @property
    def is_join(self) -> bool:
        return self.operation is not None and len(self.inputs) > 1

    @property
    def context_bits(self) -> int:
        """Of the number of a sequence."""
        return (self.contexts - 1).bit_length()

    @property
    def states(self) -> int:
        """How many a block keeps: the one of layer ``l`` and context ``c`` has the number ``l << context_bits | c``."""
        return self.contexts if self.layers == 1 else self.layers << self.context_bits

    def of_layer(self, number: int) -> Block:
        """What it is to one of its layers."""
        if self.layers == 1:
            return self
        return replace(self, layers=1, params={name: value[number] for name, value in self.params.items()})

    @property
    def takes_ids(self) -> bool:
        """Whether a token comes as its id and not as channels."""
        return self.operation is not None and not self.operation.stream_shape(self.operation.streams[0])

    @property
    def lanes_in(self) -> int:
        """Numbers per beat at the input."""
        return 1 if self.takes_ids else self.lanes

    @property
    def beats_in(self) -> int:
        """Beats per token at the input; a token id is one beat."""
        return 1 if self.takes_ids else self.channels_in // self.lanes

    @property
    def beats_out(self) -> int:
        return self.channels_out // self.lanes


@dataclass(frozen=True)
class Dataflow:
    """Blocks in topological order; ``source`` is the stream of what comes in, token ids or channels, ``sink`` that of
    what goes out."""

    blocks: tuple[Block, ...]
    source: str
    sink: str

    def __getitem__(self, name: str) -> Block:
        return next(block for block in self.blocks if block.name == name)

    @property
    def contexts(self) -> int:
        """Sequences that are interleaved; the same for every block."""
        return self.blocks[0].contexts

    @property
    def members(self) -> tuple[Block, ...]:
        """The Linears that share the engine, the first in line first; none where there is no engine."""
        return tuple(block for block in reversed(self.blocks) if block.engine)

    @property
    def driver(self) -> dict[str, Block]:
        """The block that drives each stream."""
        return {stream: block for block in self.blocks for stream in block.outputs}

    @property
    def reader(self) -> dict[str, tuple[Block, int]]:
        """The block that reads each stream, and at which of its inputs."""
        return {stream: (block, port) for block in self.blocks for port, stream in enumerate(block.inputs)}

    @property
    def ring(self) -> Block | None:
        """What lets tokens pass the same blocks once for every layer, where there is one."""
        return next((block for block in self.blocks if block.places), None)

    @property
    def user_bits(self) -> dict[str, int]:
        """Bits of every stream's ``tuser``: the layer where tokens go round, the context, the first token's mark."""
        bits = {stream: 1 + (b.states - 1).bit_length() for b in self.blocks for stream in b.outputs}
        outside = 1 + (self.contexts - 1).bit_length()
        return {self.source: outside, **bits, **({self.ring.outputs[1]: outside} if self.ring else {})}

    @property
    def takes_ids(self) -> bool:
        """Whether token ids come in, and not channels."""
        return self.reader[self.source][0].takes_ids

    def to_json(self) -> dict[str, Any]:
        """Everything but the parameters, which the memory images hold."""
        whole = {"version": VERSION, "source": self.source, "sink": self.sink, "contexts": self.contexts}
        return {**whole, "blocks": [_block_to_json(block) for block in self.blocks]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Dataflow:
        """ConversionError where another version of this program wrote it."""
        if data.get("version") != VERSION:
            raise ConversionError(
                f"this graph (dataflow.json) is of version {data.get('version', 'none')}, and only {VERSION} is known "
                "here: remove the folder it lies in, and the same command makes it anew"
            )
        blocks = tuple(_block_from_json(entry, data["contexts"]) for entry in data["blocks"])
        return cls(blocks, data["source"], data["sink"])


def _block_to_json(block: Block) -> dict[str, Any]:
    op = block.operation
    plain = {name: getattr(block, name) for name in _PLAIN}
    plain |= {name: getattr(block, name) for name, usual in _SELDOM.items() if getattr(block, name) != usual}
    formats = [[fmt.bits, fmt.frac, int(fmt.signed)] for fmt in (*block.format_in, block.format_out)]
    attributes = None if op is None else op.attributes()
    return {**plain, "kind": block.kind, "formats": formats, "attributes": attributes, "engine": block.engine}


def _block_from_json(entry: Mapping[str, Any], contexts: int) -> Block:
    *format_in, format_out = (Format(bits, frac, bool(signed)) for bits, frac, signed in entry["formats"])
    operation = entry["attributes"] and OPERATIONS[entry["kind"]].from_attributes(entry["attributes"])
    plain: dict[str, Any] = {name: tuple(v) if isinstance(v := entry[name], list) else v for name in _PLAIN}
    plain |= {name: entry.get(name, usual) for name, usual in _SELDOM.items()}
    plain["engine"] = entry["engine"] and Engine(*entry["engine"])
    plain["rows"] = plain["rows"] and Rows(*plain["rows"])
    return Block(operation=operation, format_in=tuple(format_in), format_out=format_out, contexts=contexts, **plain)


_PLAIN = (
    "name", "inputs", "outputs", "channels_in", "channels_out", "lanes", "reuse_factor", "fifo_depths", "multiplier",
    "events",
)  # fmt: skip
_SELDOM = {"layers": 1, "places": 0, "patience": 0, "rows": None, "padding": 0}
