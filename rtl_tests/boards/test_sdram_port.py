"""The port between AXI4 reads and LiteDRAM's native port, and the switch between two readers, with stalls."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import RisingEdge

from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.ports import broken, start, until

WORDS, ROOM, LATENCY = 4096, 32, 5
PACES = ((1.0, 1.0), (0.5, 1.0), (1.0, 0.1), (0.6, 0.3))  # shares of cycles in which the controller, the reader, takes


class Native:
    """LiteDRAM as its native port shows it: commands taken at some pace, words read LATENCY cycles later, without a
    way to wait."""

    def __init__(self, dut: Any, pace: float, rng: random.Random) -> None:
        self.dut, self.pace, self.rng = dut, pace, rng
        self.words = [rng.randrange(1 << 16) for _ in range(WORDS)]
        self.reads = 0

    async def work(self) -> None:
        dut = self.dut
        due: list[int] = []
        pipe: list[int | None] = [None] * LATENCY
        dut.cmd_ready.value = dut.rdata_valid.value = dut.wdata_ready.value = 0
        while True:
            await RisingEdge(dut.clk)
            if int(dut.wdata_ready.value):
                self.words[due.pop(0)] = int(dut.wdata.value)
            word = None
            if int(dut.cmd_valid.value) and int(dut.cmd_ready.value):
                at = int(dut.cmd_addr.value)
                if int(dut.cmd_we.value):
                    due.append(at)
                else:
                    word, self.reads = self.words[at], self.reads + 1
            pipe.append(word)
            out = pipe.pop(0)
            dut.rdata_valid.value = int(out is not None)
            dut.rdata.value = out or 0
            dut.cmd_ready.value = int(self.rng.random() < self.pace)
            dut.wdata_ready.value = int(bool(due) and self.rng.random() < 0.5)


@cocotb.test()
@cocotb.parametrize(pace=range(len(PACES)))
async def reads_and_writes(dut: Any, pace: int) -> None:
    """Bursts of 1 to 16 beats come whole and in order while words are written elsewhere; then those are there."""
    rng = random.Random(pace)
    takes, accepts = PACES[pace]
    native = Native(dut, takes, rng)
    await start(dut, s_axi_arvalid=0, s_axi_rready=0, write_valid=0)
    cocotb.start_soon(native.work())
    bursts = [(4 * rng.randrange(WORDS // 8), rng.randrange(16)) for _ in range(60)]  # beats lie in the lower half
    bursts = [(first // 4 * 4, min(length, (WORDS // 2 - first) // 4 - 1)) for first, length in bursts]
    due = [
        (sum(native.words[first + 4 * beat + n] << 16 * n for n in range(4)), int(beat == length))
        for first, length in bursts
        for beat in range(length + 1)
    ]
    written = [(WORDS // 2 + n, rng.randrange(1 << 16)) for n in range(40)]
    got: list[tuple[int, int]] = []

    async def ask() -> None:
        for first, length in bursts:
            dut.s_axi_araddr.value, dut.s_axi_arlen.value, dut.s_axi_arvalid.value = 2 * first, length, 1
            await RisingEdge(dut.clk)
            while not int(dut.s_axi_arready.value):
                await RisingEdge(dut.clk)
            dut.s_axi_arvalid.value = 0
            while rng.random() < 0.2:
                await RisingEdge(dut.clk)

    async def take() -> None:
        while True:
            await RisingEdge(dut.clk)
            if int(dut.s_axi_rvalid.value) and int(dut.s_axi_rready.value):
                got.append((int(dut.s_axi_rdata.value), int(dut.s_axi_rlast.value)))
            dut.s_axi_rready.value = int(rng.random() < accepts)

    async def write() -> None:
        for at, word in written:
            dut.write_address.value, dut.write_data.value, dut.write_valid.value = at, word, 1
            await RisingEdge(dut.clk)
            while not int(dut.write_ready.value):
                await RisingEdge(dut.clk)
            dut.write_valid.value = 0
            for _ in range(rng.randrange(30)):
                await RisingEdge(dut.clk)

    cocotb.start_soon(take())
    cocotb.start_soon(ask())
    writes = cocotb.start_soon(write())
    await until(dut, lambda: len(got) >= len(due) and writes.done(), 60_000)
    assert got == due
    assert native.reads == 4 * len(due), "a word was asked for that nobody wanted"
    assert [native.words[at] for at, _ in written] == [word for _, word in written]


@cocotb.test()
@cocotb.parametrize(seed=range(3))
async def takes_turns(dut: Any, seed: int) -> None:
    """Who has the port changes only while nothing is on its way; each reader gets its own bursts, whole."""
    rng = random.Random(seed)
    await start(dut, chosen=0, s_axi_arvalid=0, s_axi_rready=0, m_axi_arready=0, m_axi_rvalid=0, m_axi_rlast=0)
    asked: list[tuple[int, int]] = []  # reader, beats left
    sent, came = [0, 0], [0, 0]
    lengths = [[rng.randrange(4) for _ in range(40)] for _ in range(2)]
    for cycle in range(20_000):
        if not any(lengths) and not asked:
            break
        valid = [int(bool(lengths[n])) for n in range(2)]
        dut.s_axi_arvalid.value = valid[0] | valid[1] << 1
        dut.s_axi_arlen.value = sum((lengths[n][0] if lengths[n] else 0) << 8 * n for n in range(2))
        dut.s_axi_araddr.value = 0x1000 | 0x2000 << 32
        dut.m_axi_arready.value, offered = rng.randrange(2), bool(asked) and rng.random() < 0.6
        dut.m_axi_rvalid.value = int(offered)
        dut.m_axi_rlast.value = int(offered and asked[0][1] == 0)
        dut.s_axi_rready.value = rng.randrange(4)
        if cycle % 50 == 0:
            dut.chosen.value = rng.randrange(2)
        await RisingEdge(dut.clk)
        if int(dut.m_axi_arvalid.value) and int(dut.m_axi_arready.value):
            reader = int(dut.m_axi_araddr.value == 0x2000)
            assert int(dut.s_axi_arready.value) == 1 << reader
            length = lengths[reader].pop(0)
            assert int(dut.m_axi_arlen.value) == length
            assert all(other == reader for other, _ in asked), "bursts of both are on their way"
            asked.append((reader, length))
            sent[reader] += length + 1
        if int(dut.m_axi_rvalid.value) and int(dut.m_axi_rready.value):
            reader, left = asked[0]
            assert int(dut.s_axi_rvalid.value) == 1 << reader
            came[reader] += 1
            asked[0] = (reader, left - 1)
            if not left:
                asked.pop(0)
    assert sent == came
    assert min(came) > 40


TESTS = {"sdram_port": "reads_and_writes", "read_switch": "takes_turns"}


def run(module: str, folder: Path, files: list[Path]) -> None:
    parameters = {"ROOM": ROOM, "ADDRESS_BITS": 12} if module == "sdram_port" else {}
    simulator.build(files, module, folder, parameters)
    simulator.run(module, __name__, folder, {"COCOTB_TEST_FILTER": TESTS[module]})


@pytest.mark.parametrize("module", TESTS)
def test_every_burst_comes_whole(module: str) -> None:
    run(module, BUILD.resolve() / module, sources(module))


@pytest.mark.parametrize(
    ("module", "whole", "instead"),
    [
        ("sdram_port", "room_q > RoomBits'(length)", "1'b1"),
        ("sdram_port", "write_ready = writing_q && wdata_ready", "write_ready = writing_q"),
        ("sdram_port", "else if (asked) word_q <= word_q + 1'b1", "else if (asks) word_q <= word_q + 1'b1"),
        ("read_switch", "if (flight_q == '0) now_q", "now_q"),
    ],
)
def test_a_port_that_errs_is_noticed(module: str, whole: str, instead: str) -> None:
    """The negative control."""
    with pytest.raises(AssertionError):
        run(module, *broken(module, whole, instead))
