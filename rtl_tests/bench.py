"""The bench of a single block: its streams against the operation's NumPy meaning, with random stalls on every port.

``check`` (called by the ``test_<block>.py`` beside this file) writes a case, builds the block and starts the simulator;
the cocotb tests below run inside it and read the case.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.blocks import files, images, module, parameters
from spikegpt_hls.hls.rtl.image import Image, pack
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops import BIT, OPERATIONS, BinaryEmbedding, Operation
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.cells import functional
from spikegpt_hls.rtl_tests.contexts import interleave
from spikegpt_hls.sim.cycles.schedule import simulate

Corrupt = Callable[[dict[str, Image]], dict[str, Image]]
#: Makes the simulation of a module from its sources, in a folder, with its parameters.
Build = Callable[[Sequence[Path], str, Path, Mapping[str, int | str]], None]
BUILD = Path(os.environ.get("SPIKEGPT_HLS_BENCHES", "build/benches"))


def expected(op: Operation, streams: Sequence[Ints], lengths: Sequence[int], params: Mapping[str, Ints]) -> Ints:
    """What the block must put out for separate runs of sequences of the given lengths: (tokens, channels)."""
    ends = list(itertools.accumulate(lengths))
    pieces = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    return np.concatenate([op(*(stream[None, piece] for stream in streams), **params)[0] for piece in pieces])


def check(
    block: Block,
    streams: Sequence[Ints],
    lengths: Sequence[int],
    corrupt: Corrupt | None = None,
    override: Mapping[str, int] | None = None,
    test: str | None = None,
    edit: tuple[str, str] | None = None,
    build: Build = simulator.build,
) -> None:
    """Build ``block``, feed it ``streams`` ((tokens, channels) integers each), and compare every beat with ``==``.

    The sequences of a block with contexts are interleaved. ``corrupt``, ``override`` and ``edit`` change the block's
    images, parameters or source text (old, new) behind the bench's back: negative controls. ``build`` makes the
    simulation: of the sources, or of what was made of them.
    """
    op = block.operation
    assert op is not None
    memory = images(block)
    memory = corrupt(memory) if corrupt else memory
    values = {**parameters(block), **(override or {})}
    # Cases that differ in their build alone, as a netlist and its negative control do, may run side by side.
    suffix = "" if build is simulator.build else f"_built{os.environ.get('PYTEST_XDIST_WORKER', '')}"
    top = module(block)
    folder = BUILD.resolve() / f"{top}_{_digest((values, edit, lengths), memory, streams)}{suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in memory.items():
        (folder / f"{name}.hex").write_text(image.hex())
    write_case(folder, block, streams, lengths)
    read = {name: f'"{name}.hex"' for name in memory}  # in the folder that the simulation runs in
    build(_sources(block, folder, edit), top, folder, {**values, **read})
    simulator.run(top, __name__, folder, {"CASE": str(folder)}, test=test)


def write_case(folder: Path, block: Block, streams: Sequence[Ints], lengths: Sequence[int]) -> None:
    """What the cocotb tests below read, from the folder that the environment variable ``CASE`` names."""
    op = block.operation
    assert op is not None
    case = {"kind": block.kind, "module": module(block), "attributes": op.attributes(), "lanes": block.lanes}
    case |= {"lengths": list(lengths), "contexts": block.contexts}
    (folder / "case.json").write_text(json.dumps(case))
    arrays: dict[str, Any] = dict(zip(op.streams, streams, strict=True)) | transfers(block, sum(lengths), streams)
    arrays |= {f"p_{name}": value for name, value in block.params.items()}
    np.savez(folder / "case.npz", **arrays)


def _sources(block: Block, folder: Path, edit: tuple[str, str] | None) -> list[Path]:
    own, *below = files(module(block))
    if edit is None:
        return [own, *below]
    text = own.read_text()
    assert edit[0] in text
    (folder / own.name).write_text(text.replace(*edit))
    return [folder / own.name, *below]


#: Which cycles the sink takes a beat in, over and over: short stalls, then one that fills every buffer.
READY = (True, True, False, True, True, True, False, False, False, True, True, True, True) * 4 + (False,) * 60


def transfers(block: Block, tokens: int, given: Sequence[Ints]) -> dict[str, Ints]:
    """The cycle simulator's account of a block: per input the cycles in which each beat is first shown (``at_``), and
    per stream those in which it moves (``t_``). An embedding in front makes the beats, a fork where there are two."""
    streams = tuple(block.inputs)
    fork = Block("fork", None, ("made",), streams, block.channels_in, block.channels_in, (BIT,), BIT, block.lanes)
    first = ("made",) if block.is_join else streams
    source = BinaryEmbedding(BIT, 2, block.channels_in)
    made = Block("source", source, ("ids",), first, 1, block.channels_in, (source.ids,), BIT, block.lanes)
    ahead = () if block.kind == "BinaryEmbedding" else (made, fork) if block.is_join else (made,)
    offers = np.random.default_rng(tokens).integers(0, 4 * block.beats_in, tokens).cumsum()
    driven = {block.name: np.count_nonzero(given[0], axis=1)} if block.events else None
    schedule = simulate(Dataflow((*ahead, block), "ids", block.outputs[0]), tokens, offers, READY, events=driven)
    moves = {f"t_{name}": schedule.times[name] for name in (*streams, *block.outputs)}
    return moves | {f"at_{name}": schedule.ready[name] for name in streams}


def _digest(values: object, memory: Mapping[str, Image], streams: Sequence[Ints]) -> str:
    """Names a case by all that it is made of: cases that run side by side never share a folder."""
    parts = repr((values, sorted(memory.items()))).encode(), *(stream.tobytes() for stream in streams)
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def sequences(op: Operation, lengths: Sequence[int], seed: int) -> list[Ints]:
    """Random streams over each format's whole range, its corners more often than chance would."""
    rng = np.random.default_rng(seed)
    streams = []
    for name in op.streams:
        fmt = op.stream_format(name)
        shape = (sum(lengths),) if name == "ids" else (sum(lengths), op.n_in)
        values = rng.integers(fmt.lo, fmt.hi, shape, endpoint=True)
        corner = rng.choice(np.array([fmt.lo, fmt.hi, 0]), shape)
        streams.append(np.where(rng.random(shape) < 0.2, corner, values))
    return streams


def random_params(op: Operation, seed: int) -> dict[str, Ints]:
    """Random parameters over each format's whole range; weights are symmetric about zero, and of a WKV's states most
    outlast a token."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for name in op.params:
        fmt = op.param_format(name)
        low = -fmt.hi if name == "weight" else fmt.lo
        drawn[name] = rng.integers(low, fmt.hi, op.param_shape(name), endpoint=True)
        if name == "halvings":
            drawn[name] = np.where(rng.random(drawn[name].shape) < 0.1, drawn[name], drawn[name] % 4)
    return drawn


def flip_bit(name: str, word: int = 0, bit: int = 0) -> Corrupt:
    """Flip one bit of one memory image: what a bench must not let pass."""

    def corrupt(memory: dict[str, Image]) -> dict[str, Image]:
        words = list(memory[name].words)
        words[word] ^= 1 << bit
        return {**memory, name: replace(memory[name], words=tuple(words))}

    return corrupt


class TB:
    """Sources for the inputs, a sink for the output, all in beats of one packed word."""

    def __init__(self, dut: Any, op: Operation) -> None:
        self.dut = dut
        self.sources = [self._port(AxiStreamSource, f"s_axis_{name}") for name in op.streams]
        self.sink = self._port(AxiStreamSink, "m_axis")

    def _port(self, kind: type, prefix: str) -> Any:
        port = kind(AxiStreamBus.from_prefix(self.dut, prefix), self.dut.clk, self.dut.rst, byte_lanes=1)
        port.log.setLevel("WARNING")
        return port

    def stall(self, seed: int, idle: float, backpressure: float) -> None:
        for number, source in enumerate(self.sources):
            if idle:
                source.set_pause_generator(bursts(random.Random(seed + number), idle))
        if backpressure:
            self.sink.set_pause_generator(bursts(random.Random(seed - 1), backpressure))


#: Cycles of the beats that the reset of a run cuts off, and of those the ones in which none leaves: all where the run
#: refuses most beats.
DISTURBED, BLOCKED = 40, 30


def disturbance(width: int) -> tuple[int, int]:
    """Their words of ``width`` bits in even and in odd cycles."""
    ones = (1 << width) - 1
    return ones // 3, ones - ones // 3


async def restart(
    dut: Any, sources: Collection[str], sinks: Collection[str] = ("m_axis",), backpressure: float = 0
) -> None:
    """Beats at all ports, and a reset in their midst: what came before it must not be seen after it."""
    blocked = DISTURBED if backpressure > 0.5 else BLOCKED
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    for reset, cycles in ((1, 3), (0, DISTURBED), (1, 3)):
        dut.rst.value = reset
        for cycle in range(cycles):
            for port in sources:
                data = getattr(dut, f"{port}_tdata")
                data.value = disturbance(len(data))[cycle % 2]
                getattr(dut, f"{port}_tvalid").value = 1 - reset
                getattr(dut, f"{port}_tuser").value = 1
                getattr(dut, f"{port}_tlast").value = 0
            for port in sinks:
                getattr(dut, f"{port}_tready").value = int(not reset and cycle >= blocked)
            await RisingEdge(dut.clk)


def bursts(rng: random.Random, share: float) -> Iterator[bool]:
    """Pauses in bursts of random length, so that buffers fill and drain; one in ten is longer than they are deep."""
    while True:
        paused, longest = rng.random() < share, 100 if rng.random() < 0.1 else 8
        yield from itertools.repeat(paused, rng.randint(1, longest))


def beats(values: Ints, lanes: int, fmt: Format) -> Iterable[list[int]]:
    """Packed words of each token: (tokens, channels) -> tokens of channels/lanes words."""
    for token in np.reshape(values, (len(values), -1, min(lanes, values[0].size))):
        yield list(pack(token, fmt.bits).words)


def _load() -> tuple[Operation, dict[str, Any], list[Ints], dict[str, Ints]]:
    folder = Path(os.environ["CASE"])
    case = json.loads((folder / "case.json").read_text())
    arrays = np.load(folder / "case.npz")
    op = OPERATIONS[case["kind"]].from_attributes(case["attributes"])
    params = {name: arrays[f"p_{name}"] for name in op.params}
    return op, case, [arrays[name] for name in op.streams], params


def _inputs(op: Operation) -> list[str]:
    return [f"s_axis_{name}" for name in op.streams]


async def _stream(dut: Any, idle: float, backpressure: float) -> None:
    op, case, streams, params = _load()
    lanes, lengths = case["lanes"], case["lengths"]
    order = interleave(lengths, case["contexts"])
    await restart(dut, _inputs(op), backpressure=backpressure)
    tb = TB(dut, op)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    functional.observe(dut, op, case["module"], lanes, case["contexts"])
    tb.stall(1, idle, backpressure)
    marks = order.tuser.tolist()
    for source, name, values in zip(tb.sources, op.streams, streams, strict=True):
        for words, mark in zip(beats(values[order.row], lanes, op.stream_format(name)), marks, strict=True):
            source.send_nowait(AxiStreamFrame(words, tuser=mark))
    want = expected(op, streams, lengths, params)[order.row]
    for token, words in enumerate(beats(want, lanes, op.out)):
        frame = await with_timeout(tb.sink.recv(), 1, "ms")
        got = list(frame.tdata)
        assert len(got) == len(words), f"token {token} has {len(got)} beats, not {len(words)}"
        assert frame.tuser == marks[token], f"token {token} has tuser {frame.tuser}"
        for beat, (have, due) in enumerate(zip(got, words, strict=True)):
            if have != due:
                bits = op.out.bits
                lane = next(i for i in range(lanes) if (have ^ due) >> (i * bits) & ((1 << bits) - 1))
                raise AssertionError(f"first difference at token {token}, channel {beat * lanes + lane}")
    functional.write()


@cocotb.test()
async def flowing(dut: Any) -> None:
    """No port ever stalls."""
    await _stream(dut, 0, 0)


@cocotb.test()
async def stalled(dut: Any) -> None:
    """Every port stalls at random."""
    await _stream(dut, 0.4, 0.4)


@cocotb.test()
async def starved(dut: Any) -> None:
    """The inputs are mostly idle."""
    await _stream(dut, 0.8, 0)


@cocotb.test()
async def blocked(dut: Any) -> None:
    """The output is mostly refused."""
    await _stream(dut, 0, 0.8)


@cocotb.test()
async def timing(dut: Any) -> None:
    """Every beat moves in the very cycle in which the cycle simulator says it does."""
    op, case, streams, _ = _load()
    lanes = case["lanes"]
    arrays = np.load(Path(os.environ["CASE"]) / "case.npz")
    await restart(dut, _inputs(op))
    ports = {name: f"s_axis_{name}" for name in op.streams} | {"m_axis": "m_axis"}
    wires = {
        name: {part: getattr(dut, f"{port}_t{part}") for part in ("valid", "ready")} for name, port in ports.items()
    }
    packed = {name: [word for token in beats(values, lanes, op.stream_format(name)) for word in token]
              for name, values in zip(op.streams, streams, strict=True)}  # fmt: skip
    moved: dict[str, list[int]] = {name: [] for name in ports}
    for name in op.streams:
        wires[name]["valid"].value = 0
        getattr(dut, f"s_axis_{name}_tuser").value = 0
    dut.rst.value = 0
    for cycle in range(int(arrays["t_m_axis"][-1]) + 8):
        for name, words in packed.items():
            beat = len(moved[name])
            shown = beat < len(words) and cycle >= arrays[f"at_{name}"][beat]
            wires[name]["valid"].value = int(shown)
            if shown:
                getattr(dut, f"s_axis_{name}_tdata").value = words[beat]
        wires["m_axis"]["ready"].value = int(READY[cycle % len(READY)])
        await RisingEdge(dut.clk)
        for name, wire in wires.items():
            if wire["valid"].value and wire["ready"].value:
                moved[name].append(cycle)
    for name, cycles in moved.items():
        want = arrays[f"t_{name}"].tolist()
        differing = next((i for i, pair in enumerate(itertools.zip_longest(cycles, want)) if pair[0] != pair[1]), None)
        assert differing is None, (
            f"beat {differing} of {name} moved in cycle {cycles[differing : differing + 1]}, "
            f"not {want[differing : differing + 1]}"
        )
