"""The transports of the IP's driver, on the ports of the simulated top."""

from __future__ import annotations

import itertools
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
        self.room = 0
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

    def send(self, words: np.ndarray, room: int) -> None:
        self.room = room
        self.source.send_nowait(AxiStreamFrame(words.tolist()))

    @resume
    async def receive(self) -> np.ndarray:
        raw = self.raw(await with_timeout(self.sink.recv(compact=False), self.patience, "ms"))
        assert len(raw) <= self.room, "more than a DMA's buffer would hold"
        return np.frombuffer(raw, np.uint8)

    def raw(self, frame: AxiStreamFrame) -> bytes:
        """The bytes of a packet."""
        self.voids = frame.tuser
        assert len(set(frame.tid)) == 1
        size = len(self.dut.m_axis_tdata) // 8
        return b"".join(word.to_bytes(size, "little") for word in frame.tdata)


class Channel:
    """A direction of ``Dma``, with what PYNQ's channels have."""

    def __init__(self, dma: Dma, begin: Any, done: Any) -> None:
        self.dma, self.begin, self.done = dma, begin, done
        self.buffer: Any = None
        self.transferred, self.running = 0, True

    @property
    def idle(self) -> bool:
        """Reading the register takes time; before the first transfer it says no."""
        self.dma.pass_time()
        return self.buffer is not None and bool(self.done())

    def start(self) -> None:
        self.running, self.buffer = True, None

    def transfer(self, buffer: np.ndarray) -> None:
        assert self.running, "PYNQ: DMA channel not started"
        assert self.buffer is None or self.done(), "PYNQ: DMA channel not idle"
        self.buffer = buffer
        self.begin(buffer)

    def wait(self) -> None:
        while not self.idle:
            pass


class Dma:
    """An AXI DMA in direct mode, as PYNQ shows it, between buffers and the streams of a simulated IP: without a buffer
    nothing is taken, and nobody says a context."""

    def __init__(self, ports: Simulated, stall: float = 0) -> None:
        self.ports = ports
        self._armed = False
        self.sendchannel = Channel(self, self._send, lambda: ports.source.idle())
        self.recvchannel = Channel(self, self._arm, lambda: not self._armed)
        paused = bursts(random.Random(9), stall) if stall else itertools.repeat(False)
        ports.sink.set_pause_generator(not self._armed or next(paused) for _ in itertools.count())
        cocotb.start_soon(self._take())

    @resume
    async def pass_time(self) -> None:
        await ClockCycles(self.ports.dut.aclk, 20)

    def write(self, offset: int, value: int) -> None:
        assert (offset, value) == (0, 4), "the reset of the channels"
        self.ports.forget()
        self._armed = False
        self.sendchannel.running = self.recvchannel.running = False

    def _send(self, buffer: np.ndarray) -> None:
        self.ports.send(buffer, len(self.recvchannel.buffer))

    def _arm(self, buffer: np.ndarray) -> None:
        self._armed = True

    async def _take(self) -> None:
        while True:
            raw = self.ports.raw(await self.ports.sink.recv(compact=False))
            while not self._armed:  # came before a reset's last cycle, or ahead of the buffer
                await ClockCycles(self.ports.dut.aclk, 1)
            self.recvchannel.buffer[: len(raw)] = np.frombuffer(raw, np.uint8)
            self.recvchannel.transferred, self._armed = len(raw), False
