"""A terminal at the pins of a board: bytes over two wires, 8N1. It counts time, not cycles, as a terminal does."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import FallingEdge, Timer


class Uart:
    """``sends`` and ``receives`` are the terminal's wires; ``received`` grows while ``listen`` runs; a bit takes ns."""

    def __init__(self, sends: Any, receives: Any, bit: int) -> None:
        self.sends, self.receives, self.bit = sends, receives, bit
        self.received = bytearray()
        sends.value = 1

    async def type(self, text: bytes) -> None:
        for byte in text:
            for bit in (0, *(byte >> n & 1 for n in range(8)), 1):
                self.sends.value = bit
                await Timer(self.bit, "ns")

    async def listen(self) -> None:
        while True:
            await FallingEdge(self.receives)
            await Timer(self.bit // 2, "ns")
            assert not int(self.receives.value), "the start bit is too short"
            byte = 0
            for n in range(8):
                await Timer(self.bit, "ns")
                byte |= int(self.receives.value) << n
            await Timer(self.bit, "ns")
            assert int(self.receives.value), "a byte without a stop bit"
            self.received.append(byte)

    async def wait(self, size: int, limit: int) -> None:
        """Until ``size`` bytes have come; AssertionError after ``limit`` bits of silence."""
        seen, silence = len(self.received), 0
        while len(self.received) < size:
            await Timer(self.bit, "ns")
            silence = silence + 1 if len(self.received) == seen else 0
            seen = len(self.received)
            assert silence < limit, f"{seen} of {size} bytes have come"
