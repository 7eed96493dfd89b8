"""The bench of the whole model: token ids of several contexts in, logits out, while ``tap.sv`` records every stream.

``cosim.py`` starts these tests and judges the taps; here the ports are driven and the counters read. A run's request
lies in the file that ``REQUEST`` names; what the top's counters say is written beside it.
"""

from __future__ import annotations

import json
import os
import random
from collections import deque
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.rtl.writer import COUNTER_BITS, COUNTERS, lif_blocks
from spikegpt_hls.model.sampling import Sampler
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.rtl_tests.bench import bursts
from spikegpt_hls.rtl_tests.top.taps import signed


def unpack(words: list[int], lanes: int, fmt: Format) -> Ints:
    """The integers of a packet of packed words."""
    mask = (1 << fmt.bits) - 1
    return signed(np.array([(word >> (lane * fmt.bits)) & mask for word in words for lane in range(lanes)]), fmt)


class ModelTB:
    """Source and sink at the ends of the model, and its counters."""

    def __init__(self, dut: Any) -> None:
        path = Path(os.environ["REQUEST"])
        self.dut, self.folder = dut, path.parent
        self.request = json.loads(path.read_text())
        self.dataflow = Dataflow.from_json(json.loads(Path(self.request["dataflow"]).read_text()))
        self.source, self.sink = (
            kind(AxiStreamBus.from_prefix(dut, prefix), dut.clk, dut.rst, byte_lanes=1)
            for kind, prefix in ((AxiStreamSource, "s_axis"), (AxiStreamSink, "m_axis"))
        )
        for port in (self.source, self.sink):
            port.log.setLevel("WARNING")
        cocotb.start_soon(Clock(dut.clk, 10, "ns").start())

    async def reset(self) -> None:
        self.dut.rst.value = 1
        for _ in range(4):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        stall = self.request["stall"]
        if stall:
            self.source.set_pause_generator(bursts(random.Random(stall), 0.5))
            self.sink.set_pause_generator(bursts(random.Random(stall + 1), 0.3))

    def send(self, token: int, first: bool, context: int = 0) -> None:
        self.source.send_nowait(AxiStreamFrame([token], tuser=int(first), tid=context))

    async def logits(self) -> tuple[Ints, int, int]:
        """The next packet of logits, whether it is its sequence's first, and its context."""
        head = self.dataflow.driver[self.dataflow.sink]
        frame = await with_timeout(self.sink.recv(), 200, "ms")
        words = list(frame.tdata)
        assert len(words) == head.beats_out, f"a packet of logits has {len(words)} beats, not {head.beats_out}"
        return unpack(words, head.lanes, head.format_out), frame.tuser, frame.tid

    async def report(self, **found: Any) -> None:
        """Write the counters, and what else was found, beside the request."""
        await RisingEdge(self.dut.clk)
        await RisingEdge(self.dut.clk)
        counters: dict[str, Any] = {name: int(getattr(self.dut, name).value) for name in COUNTERS}
        packed, mask = int(self.dut.spike_counts.value), (1 << COUNTER_BITS) - 1
        layers = [block.name for block in lif_blocks(self.dataflow)]
        counters["spikes"] = {name: (packed >> (n * COUNTER_BITS)) & mask for n, name in enumerate(layers)}
        (self.folder / "counters.json").write_text(json.dumps({**counters, **found}))


@cocotb.test()
async def stream(dut: Any) -> None:
    """Tokens in the order of the request: every id is offered as soon as the model takes it."""
    tb = ModelTB(dut)
    await tb.reset()
    for token, first, context in tb.request["tokens"]:
        tb.send(token, first, context)
    progress = []
    for number, (_, first, context) in enumerate(tb.request["tokens"]):
        _, *found = await tb.logits()
        assert found == [first, context], (
            f"the logits of token {number} have tuser, tid {found}, not {[first, context]}"
        )
        progress.append([int(getattr(dut, name).value) for name in ("cycles", "busy_cycles")])
    await tb.report(progress=progress)


@cocotb.test()
async def generate(dut: Any) -> None:
    """Autoregression in every context: the prompt, then each id that its sampler picks from the logits before it."""
    tb = ModelTB(dut)
    await tb.reset()
    head = tb.dataflow.driver[tb.dataflow.sink]
    prompt, count = tb.request["prompt"], tb.request["count"]
    samplers = [Sampler(**settings) for settings in tb.request["samplers"]]
    texts: list[list[int]] = [[] for _ in samplers]
    waits = [len(prompt)] * len(samplers)  # packets of logits until the next id is picked
    for position, token in enumerate(prompt):
        for context in range(len(samplers)):
            tb.send(token, position == 0, context)
    for _ in range(len(samplers) * (len(prompt) + count)):
        logits, _, context = await tb.logits()
        waits[context] -= 1
        if waits[context] == 0 and len(texts[context]) < count:
            texts[context].append(samplers[context].pick(head.format_out.real(logits)))
            tb.send(texts[context][-1], False, context)
            waits[context] = 1
    await tb.report(generated=texts)


@cocotb.test()
async def paced(dut: Any) -> None:
    """Wire by wire: logits are taken in the cycles that ``ready`` repeats, ids come as early as they can: all at once,
    or, with ``texts``, each in the cycle after the last logits of its own text's token before it."""
    path = Path(os.environ["REQUEST"])
    request = json.loads(path.read_text())
    texts, ids, ready = request["texts"], request["ids"], request["ready"]
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.s_axis_tvalid.value, dut.s_axis_tlast.value, dut.m_axis_tready.value = 0, 1, 0
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0  # the testbench's cycle is 0 from here to the next edge
    offered = deque(range(texts or len(ids)))
    cycle = done = 0
    while done < len(ids):
        takes = ready[cycle % len(ready)]
        dut.m_axis_tready.value = takes
        dut.s_axis_tvalid.value = bool(offered)
        if offered:
            dut.s_axis_tdata.value = ids[offered[0]]
            dut.s_axis_tuser.value = int(offered[0] < max(texts, 1))
            dut.s_axis_tid.value = offered[0] % max(texts, 1)
        await RisingEdge(dut.clk)
        cycle += 1
        if offered and dut.s_axis_tready.value:
            offered.popleft()
        if takes and dut.m_axis_tvalid.value and dut.m_axis_tlast.value:
            if texts and done + texts < len(ids):
                offered.append(done + texts)
            done += 1
        assert cycle < request["limit"], f"{done} of {len(ids)} tokens after {cycle} cycles"
    await RisingEdge(dut.clk)
    (path.parent / "counters.json").write_text(json.dumps({"cycles": int(dut.cycles.value)}))
