"""A terminal at the pins of a board: bytes over two wires, 8N1, ``divider`` cycles of the clock per bit."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import ClockCycles, FallingEdge


class Uart:
    """``sends`` and ``receives`` are the terminal's wires; ``received`` grows while ``listen`` runs."""

    def __init__(self, clock: Any, sends: Any, receives: Any, divider: int) -> None:
        self.clock, self.sends, self.receives, self.divider = clock, sends, receives, divider
        self.received = bytearray()
        sends.value = 1

    async def type(self, text: bytes) -> None:
        for byte in text:
            for bit in (0, *(byte >> n & 1 for n in range(8)), 1):
                self.sends.value = bit
                await ClockCycles(self.clock, self.divider)

    async def listen(self) -> None:
        while True:
            await FallingEdge(self.receives)
            await ClockCycles(self.clock, self.divider // 2)
            assert not int(self.receives.value), "the start bit is too short"
            byte = 0
            for n in range(8):
                await ClockCycles(self.clock, self.divider)
                byte |= int(self.receives.value) << n
            await ClockCycles(self.clock, self.divider)
            assert int(self.receives.value), "a byte without a stop bit"
            self.received.append(byte)
