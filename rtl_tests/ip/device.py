"""The transports of the IP's driver, on the ports of the simulated top."""

from __future__ import annotations

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from spikegpt_hls.rtl_tests.bench import bursts


class Simulated:
    """Registers and packets; called from the driver's thread. ``patience``: for a packet, in ms of 100 MHz."""

    def __init__(self, dut: Any, stall: float = 0, patience: int = 2) -> None:
        self.dut, self.patience = dut, patience
        self.voids: list[int] = []  # tuser of the last packet's beats
        clock = dut.aclk, dut.aresetn, False
        self.axi = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), *clock)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *clock, byte_lanes=1)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *clock, byte_lanes=1)
        lite = (self.axi.write_if, self.axi.read_if)
        for port in (*lite, self.source, self.sink):
            port.log.setLevel("WARNING")
        channels = (lite[0].aw_channel, lite[0].w_channel, lite[0].b_channel, lite[1].ar_channel, lite[1].r_channel)
        for number, channel in enumerate((*channels, self.source, self.sink) if stall else ()):
            channel.set_pause_generator(bursts(random.Random(number), stall))

    async def reset(self) -> None:
        cocotb.start_soon(Clock(self.dut.aclk, 10, "ns").start())
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 5)
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 30)

    @resume
    async def read(self, offset: int) -> int:
        return int(await with_timeout(self.axi.read_dword(offset), 100, "us"))

    @resume
    async def write(self, offset: int, value: int) -> None:
        await with_timeout(self.axi.write_dword(offset, value), 100, "us")

    @resume
    async def forget(self) -> None:
        """What a DMA does when it is reset."""
        for port in (self.source, self.sink):
            port.assert_reset(True)
            port.clear()
        await ClockCycles(self.dut.aclk, 2)
        for port in (self.source, self.sink):
            port.assert_reset(False)

    def send(self, ids: np.ndarray, context: int) -> None:
        self.source.send_nowait(AxiStreamFrame(ids.tolist(), tid=context))

    @resume
    async def receive(self, room: int) -> tuple[np.ndarray, int]:
        frame = await with_timeout(self.sink.recv(compact=False), self.patience, "ms")
        self.voids = frame.tuser
        size = len(self.dut.m_axis_tdata) // 8
        raw = b"".join(word.to_bytes(size, "little") for word in frame.tdata)
        assert len(raw) <= room, "more than a DMA's buffer would hold"
        assert len(set(frame.tid)) == 1
        return np.frombuffer(raw, np.uint8), int(frame.tid[0])
