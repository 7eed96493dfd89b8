"""What frames ask of a board, by the host's own driver: registers, ids, memory, the check; with frames lost."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge, resume
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteRam

from spikegpt_hls.hls.driver.errors import DeviceError
from spikegpt_hls.hls.driver.serial import ALL_THERE, GOOD, PIECE, Board
from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.ports import broken, start

MEMORY, IDS = 4 * PIECE + 60, 64
HALF = MEMORY // 8 * 4
PATIENCE = 0.3  # seconds of this machine


class Bytes:
    """The line, byte by byte, without a UART; ``loses``: frames of the host or of the board that go missing."""

    def __init__(self, dut: Any, loses: Any = lambda: False) -> None:
        self.dut, self.loses, self.out = dut, loses, bytearray()

    async def listen(self) -> None:
        rng = random.Random(9)
        while True:
            await RisingEdge(self.dut.clk)
            if int(self.dut.m_valid.value) and int(self.dut.m_ready.value):
                self.out.append(int(self.dut.m_data.value))
            self.dut.m_ready.value = int(rng.random() < 0.7)

    @resume
    async def read(self, size: int = 1) -> bytes:
        for _ in range(400):
            await RisingEdge(self.dut.clk)
        found = bytes(self.out)
        self.out.clear()
        return b"" if found and self.loses() else found

    @resume
    async def write(self, data: bytes) -> None:
        if self.loses():
            data = data[:-3] + data[-2:]
        for byte in data:
            self.dut.s_data.value, self.dut.s_valid.value = byte, 1
            await RisingEdge(self.dut.clk)
            while not int(self.dut.s_ready.value):
                await RisingEdge(self.dut.clk)
        self.dut.s_valid.value = 0


@cocotb.test()
@cocotb.parametrize(lossy=(False, True))
async def obeys(dut: Any, lossy: bool) -> None:
    rng = random.Random(int(lossy))
    memory = np.zeros(MEMORY // 2 + 8, np.uint16)
    ids: list[tuple[int, int]] = []
    await start(
        dut, s_valid=0, m_ready=0, m_axis_tready=0, s_axis_tvalid=0, write_ready=0, checking=0, good=0, bad=0,
        m_axi_bvalid=0, m_axi_rvalid=0,
    )  # fmt: skip
    ram = AxiLiteRam(AxiLiteBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, True, size=4096)
    for port in (ram.write_if, ram.read_if):
        port.log.setLevel("WARNING")
    counts = {"check": 0, "forget": 0, "write": 0}
    takes_ids = True

    async def board() -> None:
        """What lies behind the port."""
        while True:
            await RisingEdge(dut.clk)
            if int(dut.write_valid.value) and int(dut.write_ready.value):
                memory[int(dut.write_address.value)] = int(dut.write_data.value)
                counts["write"] += 1
            if int(dut.m_axis_tvalid.value) and int(dut.m_axis_tready.value):
                ids.append((int(dut.m_axis_tdata.value), int(dut.m_axis_tlast.value)))
            if int(dut.check.value):
                counts["check"] += 1
                right = counts["check"] > 1
                dut.good.value, dut.bad.value = int(right), int(not right)
            if int(dut.forget.value):
                counts["forget"] += 1
                dut.good.value = dut.bad.value = 0
            dut.write_ready.value = int(rng.random() < 0.3)
            dut.m_axis_tready.value = int(takes_ids and rng.random() < 0.5)

    @resume
    async def write_beat(data: int, last: int) -> None:
        dut.s_axis_tdata.value, dut.s_axis_tlast.value = data, last
        dut.s_axis_tvalid.value = 1
        await RisingEdge(dut.clk)
        while not int(dut.s_axis_tready.value):
            await RisingEdge(dut.clk)
        dut.s_axis_tvalid.value = 0

    @resume
    async def wait(cycles: int) -> None:
        for _ in range(cycles):
            await RisingEdge(dut.clk)

    cocotb.start_soon(board())
    losses = random.Random(7)
    line = Bytes(dut, (lambda: losses.random() < 0.15) if lossy else lambda: False)
    cocotb.start_soon(line.listen())

    def session() -> None:
        nonlocal takes_ids
        host = Board(line, PATIENCE)
        for number in range(20):
            host.write(4 * number, 0xDEC0DB00 + number)
        assert [host.read(4 * number) for number in range(20)] == [0xDEC0DB00 + number for number in range(20)]
        assert ram.read_dword(16) == 0xDEC0DB04

        long = np.array([rng.randrange(1 << 32) for _ in range(30)], np.uint32)
        host.send(long, 0)
        for word in range(25):  # each once, whatever is lost
            host.send(np.array([word], np.uint32), 0)
        wait(300)
        assert ids == [*((int(word), int(n == 29)) for n, word in enumerate(long)), *((n, 1) for n in range(25))]
        takes_ids = False
        host.send(long, 0)
        host.send(long, 0)  # fills what waits
        with pytest.raises(DeviceError, match="takes no more ids"):
            host.send(long, 0)
        takes_ids = True
        wait(300)
        assert len(ids) == 55 + 60

        image = rng.randbytes(MEMORY)
        host._send_rest(image[:HALF])  # breaks off
        again = Board(line, PATIENCE)
        assert again.loaded == (HALF, 0)
        assert again._ask(b"C")[2] == 1, "a check of what is not all there"
        again.fill(image)  # bad at first: forgotten, and sent again
        assert again.loaded == (MEMORY, ALL_THERE | GOOD)
        assert memory[: MEMORY // 2].tobytes() == image
        assert counts["forget"] == 1
        assert counts["check"] == 2
        written = counts["write"]
        again.fill(image)
        assert counts["write"] == written, "what is there is not sent"
        again._write(b"M", 0, bytes(8))
        wait(100)
        assert counts["write"] == written, "a memory that has its image takes nothing"

        if not lossy:  # what the model gives is sent once
            for number in range(5):
                write_beat(0xC0DB0000 + number, int(number == 4))
            assert again.receive().view("<u4").tolist() == [0xC0DB0000 + number for number in range(5)]

    await bridge(session)()


def run(folder: Path, files: list[Path]) -> None:
    parameters = {"MEMORY_BYTES": MEMORY, "IDS": IDS}
    simulator.build(files, "serial_port", folder, parameters)
    simulator.run("serial_port", __name__, folder, {})


def test_a_board_does_what_frames_ask() -> None:
    run(BUILD.resolve() / "serial_port", sources("serial_port"))


@pytest.mark.parametrize(
    ("whole", "instead"),
    [
        ("remembers && number_q == done_q", "1'b0"),
        ("address_q == loaded_q &&", ""),
        ("last && !address_q[31]", "last && address_q[31]"),
        ("32'(room_q) >= 32'(left_q)", "1'b1"),
    ],
)
def test_a_board_that_errs_is_noticed(whole: str, instead: str) -> None:
    """The negative control."""
    with pytest.raises((AssertionError, DeviceError)):
        run(*broken("serial_port", whole, instead))
