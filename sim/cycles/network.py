"""A dataflow as a network of the actors in ``actors.h``, advanced token by token."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.ring import is_inside
from spikegpt_hls.hls.fold.rows import tiling
from spikegpt_hls.hls.memory import Layout
from spikegpt_hls.hls.rtl.rows import BURST, STEPS
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.cycles.compiled import library
from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.offchip import ON_CHIP, Fetch
from spikegpt_hls.sim.traces import Asked

#: Of the read master and the engine (``read_master.sv``, ``row_engine.sv``).
OUTSTANDING, ROOM = 8, 128
BANKED = 3  # tokens: two banks, and the token that fills them


class Network:
    """``lookback``: how many tokens lie between a time and the oldest one that its equation reads, at most."""

    def __init__(
        self,
        dataflow: Dataflow,
        timing: Callable[[Block], Timing],
        sink_ready: Sequence[bool],
        generation: int | None = None,
        contexts: int = 1,
        outside: Mapping[str, Fetch] | None = None,
        events: Mapping[str, Ints] | None = None,
        asked: Asked | None = None,
    ) -> None:
        wait = waits(sink_ready)
        self.dataflow, self.tokens, self.contexts = dataflow, 0, contexts
        self.generates, self.outside, self.events = generation is not None, outside or {}, events or {}
        self.lookback = BANKED
        self._lib = library()
        self._net = self._lib.network_new()
        weakref.finalize(self, self._lib.network_free, self._net)
        self._index: dict[str, int] = {}
        self._reader: dict[str, str] = {}  # the block to be named in a deadlock
        self._beats = dataflow.driver[dataflow.sink].beats_out
        self._beats_in = dataflow.reader[dataflow.source][0].beats_in
        for name, (block, _) in dataflow.reader.items():
            self._channel(name, block.name)
        self._channel(dataflow.sink, "the sink")
        if dataflow.ring and dataflow.ring.rows:
            if asked is None:
                raise SimulationError("what weights in a memory take depends on the tokens, and none are named")
            self._island(asked)
        for block in dataflow.blocks:
            if not block.rows:
                self._add(block, timing(block))
        logits = self._index[dataflow.sink]
        self._lib.add_sink(self._net, logits, ints(wait), len(wait))
        if generation is not None:
            if not dataflow.takes_ids:
                raise SimulationError("what is generated are token ids, and this network reads channels")
            ids = self._index[dataflow.source]
            self._lib.add_generation(self._net, ids, logits, self._beats, generation, contexts)
        self._lib.connect(self._net)

    def _channel(self, name: str, reader: str) -> int:
        if name not in self._index:
            self._index[name] = len(self._index)
            self._reader[name] = reader
            self._lib.add_channel(self._net)
        return self._index[name]

    def _inner(self, block: Block, port: int = 0) -> int:
        """A channel inside a block."""
        return self._channel(f"{block.name}.{port}", block.name)

    def _island(self, wave: Asked) -> None:
        """What shares the memory: the ring, the embedding, and the Linears whose rows are read."""
        dataflow, layout = self.dataflow, Layout(self.dataflow)
        ring, embedding = dataflow.ring, layout.embedding
        assert ring is not None
        assert ring.rows is not None
        for block in dataflow.blocks:
            for stream in block.outputs:
                self._channel(stream, "")
        rows = ring.rows
        shape = [
            ring.lanes, rows.batch, rows.pe // ring.lanes, ring.layers, ring.beats_in, 4096 * 8 // rows.bus, BURST,
            OUTSTANDING, ROOM, STEPS, wave.latency, ring.patience,
        ]  # fmt: skip
        inputs, outputs = (*ring.inputs, embedding.inputs[0]), (*ring.outputs, embedding.outputs[0])
        streams = [self._index[stream] for stream in (*inputs, *outputs)]
        first = layout.first(embedding)
        asked = [first + int(token) * layout.row_beats for token in wave.tokens]
        self._lib.add_island(
            self._net, ints(shape), ints(streams), layout.row_beats, embedding.beats_out, ints(asked), len(asked)
        )
        if (pace := wave.pace) is not None:
            self._lib.add_pace(self._net, ints(pace.waits), len(pace.waits), ints(pace.gaps), len(pace.gaps))
        for block in layout.members:
            tiles, head = tiling(block), not is_inside(block)
            nonzero = np.zeros((0, 1), np.uint8)  # none where every row is read
            if block.events:
                nonzero = np.ascontiguousarray(wave.nonzero[block.name], np.uint8)
            each = [block.beats_in, block.channels_in, block.beats_out, *tiles]
            places = [layout.first(block, number) for number in range(block.layers)]
            self._lib.add_row_linear(
                self._net, self._index[block.inputs[0]], self._index[block.outputs[0]], ints(each),
                tiles.tiles > 1 and rows.batch > 1, head, ints(places), len(places),
                nonzero.ctypes.data, len(nonzero),
            )  # fmt: skip

    def _pipe(
        self, inputs: Sequence[int], outputs: Sequence[int], latency: int, credits: int, beats: int, loop: int = 0
    ) -> None:
        self.lookback = max(self.lookback, 2 + credits // beats)
        self._lib.add_pipe(
            self._net, ints(inputs), len(inputs), ints(outputs), len(outputs), latency, credits, loop, beats
        )

    def _add(self, block: Block, timing: Timing) -> None:
        inputs = [self._index[stream] for stream in block.inputs]
        outputs = [self._channel(stream, "") for stream in block.outputs]
        if block.places:
            self._lib.add_ring(self._net, *inputs, *outputs, block.beats_in, block.layers, block.places)
            return
        inner = -1 if block.engine or block.events else self._inner(block)
        fetch = self.outside.get(block.name, ON_CHIP)
        if block.kind == "BinaryEmbedding":
            ids = self._inner(block, 1)
            self._pipe(inputs, [ids], 0, 2, 1)
            outside = fetch is not ON_CHIP
            self._lib.add_expand(self._net, ids, inner, block.beats_out, outside, fetch.latency, fetch.interval)
        elif block.kind == "LayerNorm":
            self._lib.add_normalize(self._net, inputs[0], inner, block.beats_in, timing.stats)
        elif block.engine:
            fold, (output,) = block.folding, outputs
            if fetch is not ON_CHIP:
                raise SimulationError(f"{block.name} shares the engine, whose weights stay on the chip")
            self._lib.add_member(
                self._net, inputs[0], output, block.beats_in, fold.words, fold.steps_per_word,
                fold.word // block.lanes, timing.result, timing.ask, timing.grant,
            )  # fmt: skip
            return
        elif block.kind == "Linear":
            fold = block.folding
            beats_per_word = fold.word // block.lanes
            if block.events and fetch is not ON_CHIP:
                raise SimulationError(f"{block.name} is driven by events, and its weights stay on the chip")
            steps, issues = self._steps(block), outputs[0] if block.events else inner
            self._lib.add_fold(
                self._net, inputs[0], issues, block.beats_in, block.beats_out, fold.words, fold.steps_per_word,
                beats_per_word, timing.result, timing.words, timing.banks, ints(fetch.constants), ints(steps),
                len(steps), block.layers > 1,
            )  # fmt: skip
            self.lookback = max(self.lookback, timing.banks + 1, BANKED + timing.words // fold.words)
            if fetch.bursts:
                self.lookback = max(self.lookback, 2 + fetch.room // fetch.bursts)
            if block.events:
                return
        else:
            taken = self._join(block, inputs) if block.is_join else inputs
            self._pipe(taken, outputs, timing.latency, timing.credits, block.beats_in, timing.loop)
            return
        self._pipe([inner], outputs, timing.latency, timing.credits, block.beats_out)

    def _steps(self, block: Block) -> Sequence[int]:
        """Of a result word of each token, where they depend on the token: one a row where it has no event at all."""
        if not block.events:
            return ()
        if block.name not in self.events:
            raise SimulationError(f"the events of each token in {block.name} are not known, so neither is its time")
        return (np.maximum(self.events[block.name], 1) * block.folding.rows_per_word).tolist()  # type: ignore[no-any-return]

    def _join(self, block: Block, inputs: Sequence[int]) -> list[int]:
        if len(block.fifo_depths) != len(inputs):
            raise SimulationError(
                f"{block.name} joins {len(inputs)} streams but has {len(block.fifo_depths)} FIFO depths"
            )
        taken = [self._inner(block, port) for port in range(len(inputs))]
        for channel, head, depth in zip(inputs, taken, block.fifo_depths, strict=True):
            self._pipe([channel], [head], 0, depth, block.beats_in)
        return taken

    def run(self, offers: Sequence[int]) -> None:
        """Give more tokens and go on until every logit has left; SimulationError where some cannot."""
        self.tokens += len(offers)
        beats = [offer for offer in offers for _ in range(self._beats_in)]
        self._lib.run(self._net, self._index[self.dataflow.source], ints(beats), len(beats))
        expected, left = self.tokens * self._beats, self._size(self.dataflow.sink)
        if left < expected:
            waiting = (name for name in self._index if self._size(name, offers=True) > self._size(name))
            stuck = dict.fromkeys(self._reader[name] for name in waiting)
            raise SimulationError(
                f"deadlock after {left} of {expected} logit beats: "
                f"{', '.join(stuck)} cannot take the beats that wait for them"
            )

    def _size(self, name: str, offers: bool = False) -> int:
        return int(self._lib.size(self._net, self._index[name], offers))

    def cycles(self, name: str, tokens: int, offers: bool = False) -> Ints:
        """A channel's transfers, or the cycles from which they were offered, of its last tokens: (tokens, beats)."""
        count = self._size(name, offers) // self.tokens * tokens
        found = self._lib.last(self._net, self._index[name], offers, count)
        copy: Ints = np.ctypeslib.as_array(found, (count,)).reshape(tokens, -1).copy()
        return copy

    def period(self, longest: int) -> tuple[int, int] | None:
        """The shortest ``(p tokens, q cycles)``, ``p <= longest``, with ``T(n) = T(n - p) + q`` for every time of as
        many tokens as the equations look back to: it holds for ever."""
        lookback = max(self.lookback, self.contexts + 1)  # the token whose logits an id waits for
        if self.tokens < lookback + longest:
            return None
        cycles = ctypes.c_int64()
        length = self._lib.period(self._net, self.tokens, lookback, longest, ctypes.byref(cycles))
        return (int(length), cycles.value) if length else None

    def forget(self) -> None:
        """What no equation reads any more."""
        sink = self._index[self.dataflow.sink]
        self._lib.forget(self._net, self.tokens, self.lookback, sink, self.contexts + 1)


def waits(ready: Sequence[bool]) -> list[int]:
    """From each cycle of a pattern that repeats, the cycles until one in which a sink is ready."""
    if not any(ready):
        raise SimulationError("a sink that is never ready lets no token out; give one ready cycle at least")
    doubled = list(ready) * 2
    return [doubled.index(True, cycle) - cycle for cycle in range(len(ready))]


def ints(values: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    """For a function of ``network.cpp``."""
    return (ctypes.c_int64 * len(values))(*values)
