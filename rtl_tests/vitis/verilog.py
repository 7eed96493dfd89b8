"""The Verilog that Vitis HLS wrote of the whole model, against the golden vectors: its logits, beat by beat.

``simulate`` is called from outside the simulator; the cocotb test below runs inside. Vitis's top has no taps and no
``tlast``: what leaves it is compared, and nothing between.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.vitis.ports import Ports, logits_layout, token_layout
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import bursts
from spikegpt_hls.rtl_tests.simulator import ToolError
from spikegpt_hls.rtl_tests.top.taps import signed


def simulate(
    verilog: Path, top: str, dataflow: Dataflow, work: Path, sequences: Sequence[Ints], stall: int = 0
) -> tuple[Ints, int]:
    """Logits (tokens, vocabulary) of back-to-back sequences, and the cycles from reset to the last of them.

    ``stall`` seeds random stalls on both ports (0: none). The simulator in ``work`` is built once.
    """
    ports = Ports.read(verilog / f"{top}.v", dataflow)
    sources = sorted([*verilog.glob("*.v"), *verilog.glob("*.sv")])
    work.mkdir(parents=True, exist_ok=True)
    request = {
        "dataflow": dataflow.to_json(),
        "ports": [ports.source, ports.sink],
        "sequences": [[int(token) for token in sequence] for sequence in sequences],
        "stall": stall,
    }
    (work / "request.json").write_text(json.dumps(request))
    simulator.build([path.resolve() for path in sources], top, work / "simulator")
    environment = {"REQUEST": str((work / "request.json").resolve())}
    simulator.run(top, __name__, work / "simulator", environment, test="stream", cwd=verilog.resolve(), logs=work)
    found = json.loads((work / "found.json").read_text())
    return np.array(found["logits"], np.int64), found["cycles"]


def verilog_of(project: Path, top: str) -> Path:
    """The folder of the Verilog that Vitis leaves in a project; ToolError where it has not run."""
    folder = project / f"{top}_prj" / "solution1" / "syn" / "verilog"
    if not (folder / f"{top}.v").is_file():
        raise ToolError(f"there is no Verilog by Vitis HLS in {folder}: C synthesis of {project} has not run")
    return folder


class TB:
    """Vitis's top, started and kept running: every token is one call of it."""

    def __init__(self, dut: Any) -> None:
        path = Path(os.environ["REQUEST"])
        self.dut, self.folder = dut, path.parent
        self.request = json.loads(path.read_text())
        self.dataflow = Dataflow.from_json(self.request["dataflow"])
        reset = dut.ap_rst_n
        self.source, self.sink = (
            kind(AxiStreamBus.from_prefix(dut, name), dut.ap_clk, reset, reset_active_level=False, byte_lanes=1)
            for kind, name in zip((AxiStreamSource, AxiStreamSink), self.request["ports"], strict=True)
        )
        for port in (self.source, self.sink):
            port.log.setLevel("WARNING")
        cocotb.start_soon(Clock(dut.ap_clk, 10, "ns").start())

    async def start(self) -> None:
        for name in ("ap_start", "ap_continue"):  # the latter only under ap_ctrl_chain
            if hasattr(self.dut, name):
                getattr(self.dut, name).value = 1
        self.dut.ap_rst_n.value = 0
        for _ in range(4):
            await RisingEdge(self.dut.ap_clk)
        self.dut.ap_rst_n.value = 1
        if stall := self.request["stall"]:
            self.source.set_pause_generator(bursts(random.Random(stall), 0.5))
            self.sink.set_pause_generator(bursts(random.Random(stall + 1), 0.3))


@cocotb.test()
async def stream(dut: Any) -> None:
    """Sequences back to back: ids in, logits out."""
    tb = TB(dut)
    layout_in, layout_out = token_layout(tb.dataflow), logits_layout(tb.dataflow)
    head = tb.dataflow.driver[tb.dataflow.sink]
    await tb.start()
    firsts = []
    cycles = 0

    async def count() -> None:
        nonlocal cycles
        while True:
            await RisingEdge(dut.ap_clk)
            cycles += 1

    for sequence in tb.request["sequences"]:
        for position, token in enumerate(sequence):
            firsts.append(int(position == 0))
            tb.source.send_nowait(AxiStreamFrame([layout_in.pack([token, firsts[-1]])]))
    cocotb.start_soon(count())
    logits = []
    for first in firsts:
        row: list[int] = []
        for _ in range(head.beats_out):
            frame = await with_timeout(tb.sink.recv(), 200, "ms")
            *members, marked = layout_out.unpack(int(frame.tdata[0]))
            assert marked == first, f"the mark of a sequence's first token is {marked}, not {first}"
            row += members
        logits.append(signed(np.array(row), head.format_out).tolist())
    (tb.folder / "found.json").write_text(json.dumps({"logits": logits, "cycles": cycles}))
