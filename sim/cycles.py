"""The cycle simulator: when every beat of every stream is transferred, exactly as the RTL does it (docs/streams.md).

The blocks of a dataflow become actors (``actors.py``) that run until all tokens have left. Where nothing outside
disturbs the pipeline its times become periodic, ``T(n + p) = T(n) + q`` for every stream at once; the equations look
back over a bounded number of tokens and only add and compare, so a period seen over that many tokens holds for ever,
and the rest of a long run is written down instead of simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.hls.rtl.timing import timing as rtl_timing
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.actors import Actor, Channel, Expand, Fold, Generation, Normalize, Pipe, Sink
from spikegpt_hls.sim.errors import SimulationError

LONGEST_PERIOD = 8  # tokens
CHUNK = 16  # tokens between two looks for a period


@dataclass(frozen=True)
class BlockCycles:
    """What one block did; arrays have one entry per token."""

    start: Ints  # first cycle in which it took a beat of the token
    end: Ints  # last cycle in which it gave one
    input_stalls: dict[str, int]  # per input stream: cycles in which a beat was shown and not taken
    occupancy: tuple[int, ...]  # per input FIFO of a join: the most beats it held

    @property
    def interval(self) -> float:
        """Initiation interval: cycles from one token to the next, over the second half of the run."""
        return slope(self.start)

    @property
    def latency(self) -> int:
        """Cycles from the first token's first beat in to its last beat out, both included."""
        return int(self.end[0] - self.start[0]) + 1


@dataclass(frozen=True)
class Schedule:
    """Transfer times of one run, in cycles from the first one in which an id was offered."""

    dataflow: Dataflow
    tokens: int
    times: dict[str, Ints]  # per stream: tokens * beats transfer cycles
    ready: dict[str, Ints]  # per stream and beat: the cycle its producer is ready from
    taken: dict[str, Ints]  # per join: the cycle in which it took each beat from its FIFOs
    needed: dict[str, int]  # per block: cycles that one token takes it by itself

    @property
    def first(self) -> int:
        """The cycle in which the first id was accepted."""
        return int(self.times[self.dataflow.source][0])

    @property
    def cycles(self) -> int:
        """From the first id to the last logit beat, both included."""
        return int(self.times[self.dataflow.sink][-1]) - self.first + 1

    @cached_property
    def token_end(self) -> Ints:
        """The cycle of each token's last logit beat."""
        ends: Ints = self.times[self.dataflow.sink].reshape(self.tokens, -1)[:, -1]
        return ends

    @property
    def latency(self) -> int:
        """Cycles from the first id to its last logit beat, both included."""
        return int(self.token_end[0]) - self.first + 1

    @property
    def cycles_per_token(self) -> float:
        """Steady state: the slope over the second half of the tokens (the latency, if there is one token)."""
        return slope(self.token_end) if self.tokens > 1 else float(self.latency)

    def shown(self, stream: str) -> Ints:
        """Per beat, the first cycle in which ``tvalid`` is 1 for it: ready, and the beat before has gone."""
        before = np.concatenate([[-1], self.times[stream][:-1]])
        shown: Ints = np.maximum(self.ready[stream], before + 1)
        return shown

    def stalls(self, stream: str) -> int:
        """Cycles with ``tvalid = 1`` and ``tready = 0``."""
        return int((self.times[stream] - self.shown(stream)).sum())

    def block(self, name: str) -> BlockCycles:
        block = self.dataflow[name]
        heads = [self.times[stream].reshape(self.tokens, -1)[:, 0] for stream in block.inputs]
        tails = [self.times[stream].reshape(self.tokens, -1)[:, -1] for stream in block.outputs]
        stalls = {stream: self.stalls(stream) for stream in block.inputs}
        occupancy = tuple(self._occupancy(stream, name) for stream in block.inputs) if block.is_join else ()
        return BlockCycles(np.min(heads, axis=0), np.max(tails, axis=0), stalls, occupancy)

    def _occupancy(self, stream: str, join: str) -> int:
        """Beats written up to and in a cycle, less beats read: the register that counts them, at its highest."""
        written = self.times[stream]
        read = np.searchsorted(self.taken[join], written, side="right")
        return int((np.arange(1, len(written) + 1) - read).max())


def slope(cycles: Ints) -> float:
    """Mean step over the second half of an array; nan for fewer than two entries."""
    half = (len(cycles) - 1) // 2
    return float(cycles[-1] - cycles[half]) / (len(cycles) - 1 - half) if len(cycles) > 1 else float("nan")


def needed(block: Block, timing: Timing) -> int:
    """Cycles that a block needs for one token where nothing around it waits: what bounds the pace of the whole."""
    if block.kind == "Linear":
        return max(block.reuse_factor, block.beats_in, block.beats_out)
    beats = max(block.beats_in, block.beats_out)
    return max(beats, timing.loop, -(-beats * (timing.latency + 2) // timing.credits))


def simulate(
    dataflow: Dataflow,
    tokens: int,
    source: Sequence[int] | Ints | None = None,
    sink_ready: Sequence[bool] | NDArray[np.bool_] | None = None,
    generation: int | None = None,
    timing: Callable[[Block], Timing] = rtl_timing,
    contexts: int = 1,
) -> Schedule:
    """Run ``tokens`` tokens through a dataflow.

    ``source[n]`` is the earliest cycle in which id ``n`` is offered (default: all at once); ``sink_ready`` is a pattern
    of ready cycles that repeats (default: always); with ``generation = d`` so many ``contexts`` generate in turn, each
    id ``d`` cycles after the last logit beat of its own text's token before it. SimulationError for a deadlock, naming
    the blocks that hold a beat they cannot take.
    """
    if tokens < 1 or (source is not None and len(source) != tokens):
        raise SimulationError(f"a run needs at least one token and one offer per token, not {tokens}")
    period = None
    pattern = [True] if sink_ready is None else list(sink_ready)
    network = _Network(dataflow, timing, pattern, generation, contexts)
    longest = LONGEST_PERIOD and max(LONGEST_PERIOD, contexts)
    if source is not None or sink_ready is not None:
        network.run([0] * tokens if source is None else [int(cycle) for cycle in source])
    while network.tokens < tokens:
        network.run([0] * min(CHUNK, tokens - network.tokens))
        window = network.lookback + longest
        if network.tokens >= window and (period := _period(network.arrays(window), network.lookback, longest)):
            break
    arrays = {name: _extend(array, period, tokens) for name, array in network.arrays(network.tokens).items()}
    if source is None and generation is None:
        arrays[f"offer {dataflow.source}"] = np.zeros((tokens, 1), np.int64)
    flat = {name: array.ravel() for name, array in arrays.items()}
    streams = [stream for block in dataflow.blocks for stream in block.inputs] + [dataflow.sink]
    return Schedule(
        dataflow,
        tokens,
        {stream: flat[f"time {stream}"] for stream in streams},
        {stream: flat[f"offer {stream}"] for stream in streams},
        {block.name: flat[f"time {block.name}.0"] for block in dataflow.blocks if block.is_join},
        {block.name: needed(block, timing(block)) for block in dataflow.blocks},
    )


class _Network:
    """The actors of a dataflow and the channels between them."""

    def __init__(
        self,
        dataflow: Dataflow,
        timing: Callable[[Block], Timing],
        ready: list[bool],
        generation: int | None,
        contexts: int,
    ) -> None:
        # two banks and the token that fills them; the token whose logits an id waits for
        self.tokens, self.lookback = 0, max(3, contexts + 1)
        self.channels = {name: Channel(name, block.name) for name, (block, _) in dataflow.reader.items()}
        self.channels[dataflow.sink] = Channel(dataflow.sink, "the sink")
        self.folds: list[Fold] = []
        self.actors: list[Actor] = []
        ids, logits = self.channels[dataflow.source], self.channels[dataflow.sink]
        self.beats = dataflow.driver[dataflow.sink].beats_out
        self.source, self.sink = ids, Sink(logits, ready)
        self.generation = None if generation is None else Generation(ids, logits, self.beats, generation, contexts)
        for block in dataflow.blocks:
            self._add(block, timing(block))
        self.actors.append(self.sink)
        if self.generation is not None:
            self.actors.append(self.generation)

    def _inner(self, block: Block, port: int = 0) -> Channel:
        """A channel inside a block."""
        name = f"{block.name}.{port}"
        return self.channels.setdefault(name, Channel(name, block.name))

    def _pipe(
        self, inputs: list[Channel], outputs: list[Channel], latency: int, credits: int, beats: int, loop: int = 0
    ) -> None:
        self.actors.append(Pipe(inputs, outputs, latency, credits, loop, beats))
        self.lookback = max(self.lookback, 2 + credits // beats)

    def _add(self, block: Block, timing: Timing) -> None:
        inputs = [self.channels[stream] for stream in block.inputs]
        outputs = [self.channels[stream] for stream in block.outputs]
        inner = self._inner(block)
        if block.kind == "BinaryEmbedding":
            ids = self._inner(block, 1)
            self._pipe(inputs, [ids], 0, 2, 1)
            self.actors.append(Expand(ids, inner, block.beats_out))
        elif block.kind == "LayerNorm":
            self.actors.append(Normalize(inputs[0], inner, block.beats_in, timing.stats))
        elif block.kind == "Linear":
            fold = Fold(inputs[0], inner, block.beats_in, block.folding, block.lanes, timing.result)
            self.folds.append(fold)
            self.actors.append(fold)
        else:
            taken = self._join(block, inputs) if block.is_join else inputs
            self._pipe(taken, outputs, timing.latency, timing.credits, block.beats_in, timing.loop)
            return
        self._pipe([inner], outputs, timing.latency, timing.credits, block.beats_out)

    def _join(self, block: Block, inputs: list[Channel]) -> list[Channel]:
        if len(block.fifo_depths) != len(inputs):
            raise SimulationError(
                f"{block.name} joins {len(inputs)} streams but has {len(block.fifo_depths)} FIFO depths"
            )
        taken = [self._inner(block, port) for port in range(len(inputs))]
        for channel, head, depth in zip(inputs, taken, block.fifo_depths, strict=True):
            self._pipe([channel], [head], 0, depth, block.beats_in)
        return taken

    def run(self, offers: list[int]) -> None:
        """Give more tokens and go round until every logit has left; a round without a step is a deadlock."""
        self.tokens += len(offers)
        if self.generation is None:
            self.source.offer.extend(offers)
        else:
            self.generation.tokens = self.tokens
        while any([actor.advance() for actor in self.actors]):
            pass
        expected = self.tokens * self.beats
        if len(self.sink.input.time) < expected:
            stuck = [channel.reader for channel in self.channels.values() if len(channel.offer) > len(channel.time)]
            raise SimulationError(
                f"deadlock after {len(self.sink.input.time)} of {expected} logit beats: "
                f"{', '.join(dict.fromkeys(stuck))} cannot take the beats that wait for them"
            )

    def arrays(self, tokens: int) -> dict[str, Ints]:
        """Every time that the equations look back to, by token, for the last ``tokens`` tokens."""
        lists = chain(
            ((f"time {c.name}", c.time) for c in self.channels.values()),
            ((f"offer {c.name}", c.offer) for c in self.channels.values()),
            ((f"steps {i}", fold.last_step) for i, fold in enumerate(self.folds)),
        )
        per_token = {name: (times, len(times) // self.tokens) for name, times in lists}
        return {
            name: np.array(times[-tokens * beats :], np.int64).reshape(tokens, beats)
            for name, (times, beats) in per_token.items()
        }


def _period(arrays: dict[str, Ints], lookback: int, longest: int) -> tuple[int, int] | None:
    """The shortest ``(p tokens, q cycles)`` with ``T(n) = T(n - p) + q`` over the last ``lookback`` tokens."""
    steps = [array for name, array in arrays.items() if not name.startswith("offer ")]
    for period in range(1, longest + 1):
        cycles = int(steps[0][-1, 0] - steps[0][-1 - period, 0])
        if all((a[-lookback:] - a[-lookback - period : -period] == cycles).all() for a in steps):
            return period, cycles
    return None


def _extend(array: Ints, period: tuple[int, int] | None, tokens: int) -> Ints:
    """The array for ``tokens`` tokens, its last ``p`` rows repeated ``q`` cycles later each time."""
    if period is None:
        return array
    length, cycles = period
    after = np.arange(tokens - len(array))
    rows = len(array) - length + after % length
    return np.concatenate([array, array[rows] + ((after // length + 1) * cycles)[:, None]])
