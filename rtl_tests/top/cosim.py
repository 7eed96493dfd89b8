"""Co-simulation: the RTL of the whole model against the golden vectors that PyTorch left."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.fold.ring import is_inside, layer_name
from spikegpt_hls.hls.rtl.writer import COUNTER_BITS, MEMORY, PROGRESS, ROUNDS, TOP
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import bursts
from spikegpt_hls.rtl_tests.contexts import Order, interleave
from spikegpt_hls.rtl_tests.simulator import ToolError
from spikegpt_hls.rtl_tests.top import driver, taps

_HERE = Path(__file__).parent
_BENCH = tuple(_HERE / name for name in ("driver.sv", "pauses.sv", "tap.sv", "tap.cpp"))
MEMORY_SOURCES = (_HERE / "memory.sv",)
LATENCY = 20  # cycles of the memory outside (memory.sv)
_STALL_CYCLES = 1024  # of a pattern of stalls, per token; then it begins anew


@dataclass(frozen=True)
class Difference:
    """The first value that differs, in the order of the dataflow."""

    block: str
    token: int
    channel: int
    rtl: int
    expected: int
    context: int | None = None  # where there are several

    def __str__(self) -> str:
        place = f"block {self.block}, channel {self.channel}, token {self.token}"
        place += "" if self.context is None else f" (context {self.context})"
        return f"first difference at {place}: RTL {self.rtl}, PyTorch {self.expected}"


@dataclass(frozen=True)
class Comparison:
    """Values compared and mismatches per trace, in the dataflow's order: ``<block>``, and ``<block>.<state>``."""

    traces: Mapping[str, tuple[int, int]]
    first: Difference | None = None

    @property
    def compared(self) -> int:
        return sum(compared for compared, _ in self.traces.values())

    @property
    def mismatches(self) -> int:
        return sum(mismatches for _, mismatches in self.traces.values())


@dataclass(frozen=True)
class Run:
    """One run of the RTL: the top's counters, and where the taps lie.

    ``progress`` are the counters ``cycles`` and ``busy_cycles`` behind each token: (tokens, 2).
    """

    dataflow: Dataflow
    folder: Path
    counters: Mapping[str, Any]
    progress: Ints
    order: Order | None = None  # of the tokens; None where the RTL chose them

    def rounds(self) -> Ints:
        """The layer of each token that the ring gave to its blocks, in turn; tokens never overtake each other."""
        ring = self.dataflow.ring
        if ring is None:
            return np.zeros(0, np.int64)
        bits = self.dataflow.user_bits[ring.outputs[0]]
        marks: Ints = taps.read(self.folder / f"{ROUNDS}.hex", 1, bits)[1][:: ring.beats_in, 0]
        return marks >> bits - (ring.layers - 1).bit_length()

    def transfers(self) -> dict[str, Ints]:
        """Cycle of each transfer of each block's (first) output stream: (tokens, beats)."""
        return {block.name: taps.integers(block, self.folder)[0] for block in self.dataflow.blocks}

    def moves(self) -> dict[str, Ints]:
        """Cycle of each transfer of every stream."""
        streams = [stream for block in self.dataflow.blocks for stream in block.outputs]
        widths = {stream: self.dataflow.driver[stream] for stream in streams}
        found = {s: taps.read(self.folder / f"{s}.hex", b.lanes, b.format_out.bits)[0] for s, b in widths.items()}
        return {self.dataflow.source: self.source_cycles(), **found}

    def source_cycles(self) -> Ints:
        """Cycle in which each beat that comes in was taken; an id is one."""
        reader, port = self.dataflow.reader[self.dataflow.source]
        path = self.folder / f"{self.dataflow.source}.hex"
        return taps.read(path, reader.lanes_in, reader.format_in[port].bits)[0]


class Model:
    """A model's RTL, built once and run with any sequences and stalls.

    ``memory``: the sources of the module ``memory``, which holds the weights outside."""

    def __init__(self, rtl: Path, work: Path, waves: bool = False, memory: Sequence[Path] = MEMORY_SOURCES) -> None:
        self.rtl, self.work, self.waves, self.memory = rtl.resolve(), work.resolve(), waves, memory
        self.plusargs: list[str] = []  # of the memory (memory.sv)
        self.simulator = self.work / "simulator"
        self.dataflow = Dataflow.from_json(json.loads((rtl / "dataflow.json").read_text()))

    def build(self, level: int = 2) -> None:
        """``level`` 2 for long runs: it compiles for half a minute, and simulates several times as fast."""
        sources = [self.rtl / "testbench.sv", self.rtl / f"{TOP}.sv", *_BENCH, *self.memory]
        others = [path for path in sorted(self.rtl.glob("*.sv")) if path not in sources]
        simulator.build([*sources, *others], "testbench", self.simulator, waves=self.waves, level=level)

    def run(self, name: str, sequences: Sequence[Sequence[int] | Ints], stall: int = 0) -> Run:
        """Stream the sequences, of ids (T,) or of integers (T, channels), interleaved at random where there are
        contexts for it (``contexts.interleave``); ``stall`` seeds random stalls on both ports (0: none)."""
        order = interleave([len(sequence) for sequence in sequences], self.dataflow.contexts, seed=stall)
        tokens = np.concatenate([self._checked(np.asarray(sequence, np.int64)) for sequence in sequences])[order.row]
        marks = np.stack([order.first, order.context], axis=1).tolist()
        sent: list[driver.Token] = [(token, *mark) for token, mark in zip(tokens.tolist(), marks, strict=True)]
        return self._run("stream", name, order, sent, _stalls(stall, len(sent)))

    def _checked(self, tokens: Ints) -> Ints:
        """ToolError where what comes in is of another shape, or where a number of a channel is none of its format."""
        reader, port = self.dataflow.reader[self.dataflow.source]
        due, fmt = () if reader.takes_ids else (reader.channels_in,), reader.format_in[port]
        if tokens.shape[1:] != due:
            raise ToolError(f"a token that comes in has the shape {due}, not {tokens.shape[1:]}")
        if tokens.size and not fmt.lo <= tokens.min() <= tokens.max() <= fmt.hi:
            raise ToolError(f"what comes in is {fmt}, {fmt.lo} to {fmt.hi}, not {tokens.min()} to {tokens.max()}")
        return tokens

    def generate(self, name: str, prompt: Sequence[int], tokens: int, sampler: Mapping[str, Any]) -> list[int]:
        """Continue ``prompt``: each id is picked from the RTL's own logits."""
        return self.generate_all(name, prompt, tokens, [sampler])[0]

    def generate_all(
        self, name: str, prompt: Sequence[int], tokens: int, samplers: Sequence[Mapping[str, Any]], stall: int = 0
    ) -> list[list[int]]:
        """Continue ``prompt`` in so many contexts at once, each with its own sampler."""
        contexts = range(len(samplers))
        sent = [(int(token), int(n == 0), context) for n, token in enumerate(prompt) for context in contexts]
        pauses = _stalls(stall, len(sent) + len(samplers) * tokens)
        asked: dict[str, Any] = {"count": tokens, "samplers": [dict(sampler) for sampler in samplers]}
        run = self._run("generate", name, None, sent, pauses, **asked)
        return [list(text) for text in run.counters["generated"]]

    def paced(
        self,
        name: str,
        ids: Sequence[int] | Ints,
        ready: Sequence[bool],
        texts: int = 0,
        offered: Sequence[bool] = (True,),
    ) -> Run:
        """Every id as early as it can come, streamed or generated by so many ``texts`` in turn: there each comes in the
        cycle after the last logits of its own text's token before it. Logits are taken in the cycles that ``ready``
        repeats, from reset on; ids come in those of ``offered``. For the cycles of transfers: no value is compared."""
        contexts = max(texts, 1)
        tokens = [(int(token), int(n < contexts), n % contexts) for n, token in enumerate(ids)]
        return self._run("stream", name, None, tokens, ([not o for o in offered], [not r for r in ready]), window=texts)

    def _run(
        self,
        test: str,
        name: str,
        order: Order | None,
        tokens: Sequence[driver.Token],
        pauses: tuple[Sequence[bool], Sequence[bool]],
        window: int = 0,
        **asked: Any,
    ) -> Run:
        folder = self.work / name
        folder.mkdir(parents=True, exist_ok=True)
        driver.write(folder, self.dataflow, tokens, *pauses)
        request = {"dataflow": str(self.rtl / "dataflow.json"), "tokens": tokens, **asked}
        (folder / "request.json").write_text(json.dumps(request))
        simulator.run(
            "testbench",
            "spikegpt_hls.rtl_tests.top.model",
            self.simulator,
            {"REQUEST": str(folder / "request.json")},
            plusargs=[f"+TAPS={folder}", f"+WINDOW={window}", f"+IMAGE={self.rtl / MEMORY}", *self.plusargs],
            test=test,
            waves=self.waves,
            cwd=self.rtl,
            logs=folder,
        )
        return self.result(name, order)

    def result(self, name: str, order: Order | None = None) -> Run:
        """What the last run of that name left."""
        folder = self.work / name
        counters = json.loads((folder / "counters.json").read_text())
        progress = taps.read(folder / f"{PROGRESS}.hex", 2, COUNTER_BITS)[1]
        return Run(self.dataflow, folder, counters, progress, order)


def _stalls(seed: int, tokens: int) -> tuple[list[bool], list[bool]]:
    """Random pauses of source and sink; none with seed 0."""
    if not seed:
        return [], []
    cycles = _STALL_CYCLES * tokens
    source, sink = (bursts(random.Random(seed + n), share) for n, share in enumerate((0.5, 0.3)))
    return list(islice(source, cycles)), [True, *islice(sink, cycles)]


def compare(run: Run, expected: Mapping[str, Ints]) -> Comparison:
    """Every integer that left every operation's block, and every state that it was left with.

    ``expected`` is of the sequences back to back: ``expected[block]`` (tokens, channels), ``expected[block.state]``
    (sequences, channels), of which the rows that ended a context count.
    """
    traces: dict[str, tuple[int, int]] = {}
    first = None
    for name, got, rows, contexts in _found(run):
        if "." in name and name not in expected:
            continue  # vectors of a run that was cut short have no last states
        want = expected[name][rows]
        unequal = _unequal(got, want)
        traces[name] = (want.size, int(unequal.sum()))
        if first is None and unequal.any():
            token, channel = (int(axis[0]) for axis in np.nonzero(unequal))
            value = int(got[token, channel]) if token < len(got) else 0
            context = int(contexts[token]) if run.dataflow.contexts > 1 else None
            first = Difference(name, int(rows[token]), channel, value, int(want[token, channel]), context)
    return Comparison(traces, first)


def _found(run: Run) -> Iterator[tuple[str, Ints, Ints, Ints]]:
    """Name, integers, and per row of them that of the expected and its context: of every operation in the order of the
    network, layer by layer, and of every state."""
    order = run.order
    assert order is not None
    rounds, contexts = run.rounds(), np.arange(len(order.last))
    blocks = [block for block in run.dataflow.blocks if block.operation is not None]
    layers = max(block.layers for block in blocks)
    inside = [block for block in blocks if is_inside(block)]
    head = blocks.index(inside[0]) if inside else len(blocks)
    path = [(block, 0) for block in blocks[:head]]
    path += [(block, number) for number in range(layers) for block in inside]
    path += [(block, 0) for block in blocks[head + len(inside) :]]
    values = {block.name: taps.integers(block, run.folder)[1] for block in inside}
    for block, number in path:
        of, all_layers = layer_name(block, number), values.get(block.name)
        if all_layers is None:
            yield of, taps.integers(block, run.folder)[1], order.row, order.context
        else:
            yield of, all_layers[rounds[: len(all_layers)] == number], order.row, order.context
        for name, value in taps.states(block, run.folder).items():
            yield f"{of}.{name}", value[number, : len(order.last)], order.last, contexts


def _unequal(got: Ints, want: Ints) -> NDArray[np.bool_]:
    """Elementwise; a value that never came is unequal."""
    unequal = np.ones(want.shape, bool)
    tokens = min(len(got), len(want))
    unequal[:tokens] = got[:tokens] != want[:tokens]
    return unequal
