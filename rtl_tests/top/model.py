"""The bench of the whole model: it starts ``driver.sv``, which moves the beats, and judges what left.

``cosim.py`` starts these tests and compares what ``tap.sv`` recorded of every stream; here every packet of logits must
come in time, whole, and with its token's marks. A run's request lies in the file that ``REQUEST`` names; what the top's
counters say is written beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, ValueChange, with_timeout

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.writer import COUNTER_BITS, COUNTERS, event_blocks, lif_blocks, tid_bits
from spikegpt_hls.model.sampling import Sampler
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.rtl_tests.top import driver, taps


def unpack(words: list[int], lanes: int, fmt: Format) -> Ints:
    """The integers of a packet of packed words."""
    mask = (1 << fmt.bits) - 1
    return taps.signed(np.array([(word >> (lane * fmt.bits)) & mask for word in words for lane in range(lanes)]), fmt)


class ModelTB:
    """The model between the ends of its driver, and its counters."""

    def __init__(self, dut: Any) -> None:
        path = Path(os.environ["REQUEST"])
        self.dut, self.folder = dut, path.parent
        self.request = json.loads(path.read_text())
        self.dataflow = Dataflow.from_json(json.loads(Path(self.request["dataflow"]).read_text()))
        self.head = self.dataflow.driver[self.dataflow.sink]
        self.sent: list[driver.Token] = [tuple(token) for token in self.request["tokens"]]
        self.packets = self.feeds = 0

    async def start(self) -> None:
        self.dut.feeds.value = 0
        cocotb.start_soon(Clock(self.dut.clk, 10, "ns").start())
        self.dut.rst.value = 1
        for _ in range(4):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def packet(self) -> int:
        """The next packet of logits has left, whole and with its token's marks: its context."""
        await with_timeout(ValueChange(self.dut.packets), 200, "ms")
        _, first, context = self.sent[self.packets]
        packet, bits = int(self.dut.packet.value), tid_bits(self.dataflow)
        beats, marks = packet >> bits + 1 & 0xFFFFFFFF, [packet & 1, packet >> 1 & (1 << bits) - 1]
        assert beats == self.head.beats_out, f"a packet of logits has {beats} beats, not {self.head.beats_out}"
        assert packet >> bits + 33, f"the beats of token {self.packets} differ in tuser or tid"
        assert marks == [first, context], (
            f"the logits of token {self.packets} have tuser, tid {marks}, not {[first, context]}"
        )
        self.packets += 1
        return context

    def logits(self) -> Ints:
        """Those of the packet that has just left."""
        words = [int(self.dut.u_driver.words[beat].value) for beat in range(self.head.beats_out)]
        logits = unpack(words, self.head.lanes, self.head.format_out)
        return logits[: len(logits) - self.head.padding]

    def feed(self, token: int, context: int) -> None:
        """One more id, in a sequence that has begun; at most one a cycle."""
        self.sent.append((token, 0, context))
        self.feeds += 1
        (self.dut.fed.value,) = driver.words(self.dataflow, *self.sent[-1])
        self.dut.feeds.value = self.feeds

    def _counts(self, packed: Any, blocks: Sequence[Block]) -> dict[str, int]:
        """A counter for each block."""
        value, mask = int(packed.value), (1 << COUNTER_BITS) - 1
        return {block.name: (value >> (n * COUNTER_BITS)) & mask for n, block in enumerate(blocks)}

    async def report(self, **found: Any) -> None:
        """Write the counters, and what else was found, beside the request."""
        await RisingEdge(self.dut.clk)
        await RisingEdge(self.dut.clk)
        counters: dict[str, Any] = {name: int(getattr(self.dut, name).value) for name in COUNTERS}
        if self.dataflow.ring and self.dataflow.ring.rows:
            counters["memory_beats"] = int(self.dut.memory_beats.value)
            assert int(self.dut.memory_fault.value) == 0, "the memory's reader met a fault"
        counters["spikes"] = self._counts(self.dut.spike_counts, lif_blocks(self.dataflow))
        words = self._counts(self.dut.event_counts, event_blocks(self.dataflow))  # of PE weights each
        driven = {name: self.dataflow[name] for name in words}
        counters["weight_reads"] = {name: words[name] * block.folding.pe for name, block in driven.items()}
        counters["weights_added"] = {
            name: words[name] * block.channels_out // block.folding.rows for name, block in driven.items()
        }
        (self.folder / "counters.json").write_text(json.dumps({**counters, **found}))


@cocotb.test()
async def stream(dut: Any) -> None:
    """The ids of the request, in their order."""
    tb = ModelTB(dut)
    await tb.start()
    for _ in tb.sent:
        await tb.packet()
    await tb.report()


@cocotb.test()
async def generate(dut: Any) -> None:
    """Autoregression in every context: the prompt, then each id that its sampler picks from the logits before it."""
    tb = ModelTB(dut)
    await tb.start()
    count, samplers = tb.request["count"], [Sampler(**settings) for settings in tb.request["samplers"]]
    texts: list[list[int]] = [[] for _ in samplers]
    waits = [len(tb.sent) // len(samplers)] * len(samplers)  # packets of logits until the next id is picked
    for _ in range(len(tb.sent) + len(samplers) * count):
        context = await tb.packet()
        waits[context] -= 1
        if waits[context] == 0 and len(texts[context]) < count:
            texts[context].append(samplers[context].pick(tb.head.format_out.real(tb.logits())))
            tb.feed(texts[context][-1], context)
            waits[context] = 1
    await tb.report(generated=texts)
