"""The driver's packets over an AXI DMA in direct mode, as PYNQ's ``axi_dma`` drives it; it needs no library of PYNQ's::

stream = PynqStream(overlay.axi_dma_0, pynq.allocate)
model = SpikeGPT(overlay.spikegpt_ip_0.mmio, stream)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.hls.driver.errors import DeviceError

CONTROL, RESET = 0x00, 1 << 2  # of the DMA (AMD PG021): either channel's reset is both's


class PynqStream:
    """``allocate`` is ``pynq.allocate``; a packet that comes has at most ``room`` bytes, and ``patience`` are the
    seconds to wait for one.

    A buffer always lies ready for the next packet: the device stops where nobody takes what it gives, and then takes no
    second text either.
    """

    def __init__(self, dma: Any, allocate: Callable[..., Any], room: int = 1 << 20, patience: float = 10.0) -> None:
        self.dma, self.allocate, self.patience = dma, allocate, patience
        self._sent: Any = None  # the DMA still reads it
        self._came: deque[NDArray[np.uint8]] = deque()
        self._buffer = allocate(shape=(room,), dtype=np.uint8)
        self.dma.recvchannel.transfer(self._buffer)

    def send(self, words: NDArray[np.uint32], room: int) -> None:
        if room > len(self._buffer):
            raise DeviceError(
                f"a packet of up to {room:,} bytes would come, and PynqStream has room for {len(self._buffer):,}: "
                "send fewer ids at a time, or give it more (room=)"
            )
        buffer = self.allocate(shape=words.shape, dtype=np.uint32)
        buffer[:] = words
        if self._sent is not None:
            self._wait(lambda: self.dma.sendchannel.idle, "the device takes no more ids")
            self.dma.sendchannel.wait()
        self.dma.sendchannel.transfer(buffer)
        self._sent = buffer

    def receive(self) -> NDArray[np.uint8]:
        self._wait(lambda: self._came, "the device has sent no packet")
        return self._came.popleft()

    def reset(self) -> None:
        """Reset the DMA, beside the device's own ``reset``: what was under way is lost."""
        self.dma.write(CONTROL, RESET)
        for channel in (self.dma.sendchannel, self.dma.recvchannel):
            channel.start()
        self._sent = None
        self._came.clear()
        self.dma.recvchannel.transfer(self._buffer)

    def _wait(self, ready: Callable[[], Any], otherwise: str) -> None:
        due = time.monotonic() + self.patience
        while self._collect() or not ready():
            if time.monotonic() > due:
                raise DeviceError(f"{otherwise} for {self.patience:g} s: reset it and the DMA")

    def _collect(self) -> bool:
        """Whether a packet has come; then the buffer is ready for the next one."""
        channel = self.dma.recvchannel
        if not channel.idle:
            return False
        channel.wait()
        self._came.append(np.array(self._buffer[: channel.transferred]))
        channel.transfer(self._buffer)
        return True
