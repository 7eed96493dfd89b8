"""The cycle simulator: when every beat of every stream is transferred, exactly as the RTL does it (docs/streams.md).

The blocks of a dataflow become actors (``network.py``) that run until all tokens have left. Where nothing outside
disturbs the pipeline its times become periodic, ``T(n + p) = T(n) + q`` for every stream at once; the equations look
back over a bounded number of tokens and only add and compare, so a period seen over that many tokens holds for ever,
and the rest of a long run is written down instead of simulated. An engine or a ring takes the tokens as they
come to it: it is given all of a run at once, and every one of them is simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.rows import tiling
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.hls.rtl.timing import timing as rtl_timing
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.cycles.network import Network
from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.offchip import Fetch
from spikegpt_hls.sim.traces import Asked

LONGEST_PERIOD = 8  # tokens
CHUNK = 4  # tokens between two looks for a period
FEW = 8  # tokens: too few to speak of a pace


@dataclass(frozen=True)
class BlockCycles:
    """What one block did; arrays have one entry per token, and layer where it computes several."""

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
    """Transfer times of one run, in cycles from the first one in which a token was offered."""

    dataflow: Dataflow
    tokens: int
    times: Mapping[str, Ints]  # per stream: tokens * beats transfer cycles
    ready: Mapping[str, Ints]  # per stream and beat: the cycle its producer is ready from
    taken: Mapping[str, Ints]  # per join: the cycle in which it took each beat from its FIFOs
    needed: Mapping[str, int]  # per block: cycles that one token takes it by itself

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
        ends = self.token_end[: steady(self.dataflow, self.token_end, int(self.times[self.dataflow.source][-1]))]
        return slope(ends) if self.tokens > 1 else float(self.latency)

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
        inputs, outputs, rows = block.inputs, block.outputs, self.tokens * block.layers
        if block.places:  # the ring: from a new token to one that is through
            inputs, outputs, rows = inputs[:1], outputs[1:], self.tokens
        heads = [self.times[stream].reshape(rows, -1)[:, 0] for stream in inputs]
        tails = [self.times[stream].reshape(rows, -1)[:, -1] for stream in outputs]
        stalls = {stream: self.stalls(stream) for stream in block.inputs}
        occupancy = tuple(self._occupancy(stream, name) for stream in block.inputs) if block.is_join else ()
        return BlockCycles(np.min(heads, axis=0), np.max(tails, axis=0), stalls, occupancy)

    def _occupancy(self, stream: str, join: str) -> int:
        """Beats written up to and in a cycle, less beats read: the register that counts them, at its highest."""
        written = self.times[stream]
        read = np.searchsorted(self.taken[join], written, side="right")
        return int((np.arange(1, len(written) + 1) - read).max())


def steady(dataflow: Dataflow, ends: Ints, last: int) -> int:
    """How many tokens left at the pace at which they come: all; with an engine or a ring those that left before the
    ``last`` id was taken, for behind it there are ever fewer tokens to work at."""
    left = int(np.searchsorted(ends, last)) if dataflow.members or dataflow.ring else len(ends)
    return left if left >= FEW else len(ends)


def slope(cycles: Ints) -> float:
    """Mean step over the second half of an array; nan for fewer than two entries."""
    half = (len(cycles) - 1) // 2
    return float(cycles[-1] - cycles[half]) / (len(cycles) - 1 - half) if len(cycles) > 1 else float("nan")


def needed(block: Block, timing: Timing, events: Ints | None = None) -> int:
    """Cycles that a block needs for one token where nothing around it waits: what bounds the pace of the whole.

    ``events``: by token, of a Linear that they drive, which needs so many on average.
    """
    if block.kind == "Linear":
        steps = block.reuse_factor
        if block.rows:
            steps = ceil((block.channels_in if events is None else events.mean()) * tiling(block).beats)
        elif events is not None:
            steps = ceil(np.maximum(events, 1).mean() * block.folding.rows)
        return max(steps, block.beats_in, block.beats_out) * block.layers
    beats = max(block.beats_in, block.beats_out)
    return max(beats, timing.loop, -(-beats * (timing.latency + 2) // timing.credits)) * block.layers


def simulate(
    dataflow: Dataflow,
    tokens: int,
    source: Sequence[int] | Ints | None = None,
    sink_ready: Sequence[bool] | NDArray[np.bool_] | None = None,
    generation: int | None = None,
    timing: Callable[[Block], Timing] = rtl_timing,
    contexts: int = 1,
    outside: Mapping[str, Fetch] | None = None,
    events: Mapping[str, Ints] | None = None,
    asked: Asked | None = None,
) -> Schedule:
    """Run ``tokens`` tokens through a dataflow.

    ``source[n]`` is the earliest cycle in which id ``n`` is offered (default: all at once); ``sink_ready`` is a pattern
    of ready cycles that repeats (default: always); with ``generation = d`` so many ``contexts`` generate in turn, each
    id ``d`` cycles after the last logit beat of its own text's token before it. Blocks that are ``outside`` read their
    constants from a memory beside the chip (``offchip.py``). ``events`` are the inputs of each token that are not 0, by
    the name of each Linear that they drive, in a ring layer by layer; a run of more tokens repeats them. ``asked``:
    what is read of weights in a memory. SimulationError for a deadlock, naming the blocks that hold a beat they cannot
    take.
    """
    if tokens < 1 or (source is not None and len(source) != tokens):
        raise SimulationError(f"a run needs at least one token and one offer per token, not {tokens}")
    period = None
    pattern = [True] if sink_ready is None else [bool(ready) for ready in sink_ready]
    network = Network(dataflow, timing, pattern, generation, contexts, outside, events, asked)
    longest = LONGEST_PERIOD and max(LONGEST_PERIOD, contexts)
    if source is not None or sink_ready is not None or dataflow.members or dataflow.ring or events:
        network.run([0] * tokens if source is None else [int(cycle) for cycle in source])
    while network.tokens < tokens and period is None:
        network.run([0] * min(CHUNK, tokens - network.tokens))
        period = network.period(longest)
    inputs = [stream for block in dataflow.blocks for stream in block.inputs]
    streams = {stream: stream for stream in [*inputs, dataflow.sink]}
    joins = {block.name: f"{block.name}.0" for block in dataflow.blocks if block.is_join}
    beats = tokens * dataflow.reader[dataflow.source][0].beats_in
    at_once = {dataflow.source: np.zeros(beats, np.int64)} if source is None and generation is None else {}
    return Schedule(
        dataflow,
        tokens,
        _Cycles(network, tokens, period, streams),
        _Cycles(network, tokens, period, streams, offers=True, known=at_once),
        _Cycles(network, tokens, period, joins),
        {block.name: needed(block, timing(block), (events or {}).get(block.name)) for block in dataflow.blocks},
    )


class _Cycles(Mapping[str, Ints]):
    """Arrays of a run by name, each read from the network, and written down for all tokens, when it is looked at."""

    def __init__(
        self,
        network: Network,
        tokens: int,
        period: tuple[int, int] | None,
        channels: Mapping[str, str],
        offers: bool = False,
        known: Mapping[str, Ints] | None = None,
    ) -> None:
        self._network, self._tokens, self._period = network, tokens, period
        self._channels, self._offers, self._known = channels, offers, dict(known or {})

    def __getitem__(self, name: str) -> Ints:
        if name not in self._known:
            simulated = self._network.cycles(self._channels[name], self._network.tokens, self._offers)
            self._known[name] = _extend(simulated, self._period, self._tokens).ravel()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    def __len__(self) -> int:
        return len(self._channels)


def _extend(array: Ints, period: tuple[int, int] | None, tokens: int) -> Ints:
    """The array for ``tokens`` tokens, its last ``p`` rows repeated ``q`` cycles later each time."""
    if period is None:
        return array
    length, cycles = period
    done = len(array)
    whole = np.empty((tokens, array.shape[1]), np.int64)
    whole[:done] = array
    for row in range(length):
        later = whole[done + row :: length]
        np.add(array[done - length + row], cycles * np.arange(1, len(later) + 1)[:, None], out=later)
    return whole


@dataclass(frozen=True)
class TokenTimes:
    """Of a run of which nothing else is kept: the cycle of the first id, and of each token's last logit beat."""

    first: int
    ends: Ints
    steady: int  # tokens that left at the pace at which they come

    @property
    def latency(self) -> int:
        """Cycles from the first id to its last logit beat, both included."""
        return int(self.ends[0]) - self.first + 1

    @property
    def cycles_per_token(self) -> float:
        """As ``Schedule``'s."""
        return slope(self.ends[: self.steady]) if len(self.ends) > 1 else float(self.latency)


def token_times(
    dataflow: Dataflow,
    tokens: int,
    generation: int | None = None,
    timing: Callable[[Block], Timing] = rtl_timing,
    contexts: int = 1,
    outside: Mapping[str, Fetch] | None = None,
    events: Mapping[str, Ints] | None = None,
) -> TokenTimes:
    """What ``simulate`` would say of the tokens, in memory that does not grow with their number."""
    network = Network(dataflow, timing, [True], generation, contexts, outside, events)
    first = last = 0
    ends: list[Ints] = []
    while network.tokens < tokens:
        whole_run = dataflow.members or dataflow.ring
        count = tokens if whole_run else min(CHUNK, tokens - network.tokens)
        network.run([0] * count)
        if not ends:
            first = int(network.cycles(dataflow.source, count)[0, 0])
        last = int(network.cycles(dataflow.source, 1)[0, -1])
        ends.append(network.cycles(dataflow.sink, count)[:, -1])
        network.forget()
    whole = np.concatenate(ends)
    return TokenTimes(first, whole, steady(dataflow, whole, last))
