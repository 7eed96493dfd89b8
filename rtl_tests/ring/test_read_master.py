"""The read master: runs come out whole and in their order from a memory of cocotbext-axi's, and whatever a broken
memory does, all beats that were asked for come, right or with a fault that is named.

The cocotb tests below run inside the simulation that the pytest functions build.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiRamRead, AxiReadBus

from spikegpt_hls.hls.rtl.blocks import SOURCES
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD, bursts

BYTES, BURST, PATIENCE = 4, 4, 100
SIZE = 2048  # beats of the window: two pages of 4 KB
BASE = 0x4000_0000
VALUES = {
    "DATA_BITS": 8 * BYTES, "BEAT_BITS": 12, "LENGTH_BITS": 6, "BURST": BURST, "OUTSTANDING": 3, "ROOM": 16,
    "PATIENCE": PATIENCE,
}  # fmt: skip
TOP = "read_master_bench"
CASES = 200
#: What a broken memory does with one of its bursts, and the bits of `fault` that may say so.
FAULTS = {
    "none": 0b0000, "error": 0b0001, "other id": 0b0001, "short": 0b1010, "no last": 0b1010, "long": 0b0010,
    "late": 0b0000, "never": 0b1000, "deaf": 0b1000, "outside": 0b0100,
}  # fmt: skip


def build(edit: tuple[str, str] | None = None) -> Path:
    folder = BUILD.resolve() / f"read_master{'_edited' if edit else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    text = (SOURCES / "read_master.sv").read_text()
    assert edit is None or edit[0] in text
    (folder / "read_master.sv").write_text(text.replace(*edit) if edit else text)
    here = Path(__file__).with_name(f"{TOP}.sv")
    simulator.build([folder / "read_master.sv", SOURCES / "fifo.sv", here], TOP, folder, VALUES)
    return folder


def word(beat: int) -> int:
    return beat * 2654435761 % (1 << 8 * BYTES)


class Bench:
    """Asks for runs, and keeps what comes."""

    def __init__(self, dut: Any, seed: int) -> None:
        self.dut, self.rng, self.come = dut, random.Random(seed), []  # type: Any, random.Random, list[int]

    async def reset(self, memory: bool = True) -> None:
        """Of the reader, and the ``memory``'s port."""
        dut = self.dut
        for name, value in (
            ("base", BASE),
            ("size", SIZE),
            ("run_valid", 0),
            ("ready", 0),
            ("rst", 1),
            ("memory_rst", int(memory)),
        ):
            getattr(dut, name).value = value
        dut.memory_rst.value = int(memory)
        for _ in range(3):
            await RisingEdge(dut.clk)
        dut.rst.value = dut.memory_rst.value = 0
        self.come.clear()

    async def ask(self, runs: list[tuple[int, int]]) -> None:
        dut = self.dut
        for first, beats in runs:
            dut.run_first.value, dut.run_beats.value, dut.run_valid.value = first, beats, 1
            await RisingEdge(dut.clk)
            while not dut.run_ready.value:
                await RisingEdge(dut.clk)
            dut.run_valid.value = 0
            for _ in range(self.rng.choice([0, 0, 3])):
                await RisingEdge(dut.clk)

    async def take(self, count: int, cycles: int) -> bool:
        """Whether so many beats came in that time."""
        pauses = bursts(self.rng, self.rng.choice([0.0, 0.5]))
        for _ in range(cycles):
            self.dut.ready.value = int(not next(pauses))
            await RisingEdge(self.dut.clk)
            if self.dut.valid.value and self.dut.ready.value:
                self.come.append(int(self.dut.data.value))
            if len(self.come) == count:
                self.dut.ready.value = 0
                return True
        return False


def runs(rng: random.Random) -> list[tuple[int, int]]:
    """Some at the end of a page, of all lengths."""
    firsts = [rng.choice([rng.randrange(SIZE - 40), 1024 - rng.randrange(1, 20)]) for _ in range(rng.randrange(1, 9))]
    return [(first, rng.choice([1, BURST, rng.randrange(1, 33)])) for first in firsts]


def cut(asked: list[tuple[int, int]]) -> list[int]:
    """The lengths of the bursts of these runs."""
    lengths, page = [], 4096 // BYTES
    for first, beats in asked:
        while beats:
            lengths.append(min(beats, BURST, page - first % page))
            first, beats = first + lengths[-1], beats - lengths[-1]
    return lengths


@cocotb.test()
async def runs_come_whole(dut: Any) -> None:
    """From a memory of cocotbext-axi's, with pauses of its own."""
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    bench = Bench(dut, 1)
    ram = AxiRamRead(AxiReadBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=BASE + 4 * SIZE)
    ram.write(BASE, b"".join(word(beat).to_bytes(BYTES, "little") for beat in range(SIZE)))
    await bench.reset()
    for seed in range(40):
        rng = random.Random(seed)
        ram.ar_channel.set_pause_generator(bursts(random.Random(seed), 0.3))
        ram.r_channel.set_pause_generator(bursts(random.Random(seed + 1), rng.choice([0.0, 0.5])))
        asked = runs(rng)
        bench.come.clear()
        asking = cocotb.start_soon(bench.ask(asked))
        assert await bench.take(sum(beats for _, beats in asked), 4000), "beats are missing"
        await asking
        assert bench.come == [word(first + n) for first, beats in asked for n in range(beats)]
        assert not dut.fault.value


class Broken:
    """A memory that does something wrong with one of the bursts that it is asked for."""

    def __init__(self, dut: Any, fault: str, at: int, rng: random.Random) -> None:
        self.dut, self.fault, self.at, self.rng = dut, fault, at, rng
        self.asked: list[tuple[int, int]] = []
        self.bursts = 0

    async def serve(self) -> None:
        dut = self.dut
        dut.m_axi_arready.value = dut.m_axi_rvalid.value = 0
        beats: Iterator[dict[str, int]] = iter(())
        shown: dict[str, int] | None = None
        wait = 0
        while True:
            deaf = self.fault == "deaf" and self.bursts >= self.at
            dut.m_axi_arready.value = int(not deaf)
            await RisingEdge(dut.clk)
            if dut.m_axi_arvalid.value and dut.m_axi_arready.value:
                address, length = int(dut.m_axi_araddr.value), int(dut.m_axi_arlen.value) + 1
                check(address, length)
                self.asked.append((address, length))
                self.bursts += 1
            if shown is not None and dut.m_axi_rready.value:
                shown = None
            if shown is None and wait == 0:
                shown = next(beats, None)
                if shown is None and self.asked:
                    number = self.bursts - len(self.asked)
                    beats = self.answer(*self.asked.pop(0), wrong=number == self.at)
                    wait = self.wait(number)
            wait = max(0, wait - 1)
            dut.m_axi_rvalid.value = int(shown is not None)
            for wire, value in (shown or {}).items():
                getattr(dut, f"m_axi_{wire}").value = value

    def wait(self, number: int) -> int:
        if number == self.at and self.fault in ("late", "never"):
            return PATIENCE - 20 if self.fault == "late" else 10**9
        return self.rng.randrange(12)

    def answer(self, address: int, length: int, wrong: bool) -> Iterator[dict[str, int]]:
        fault = self.fault if wrong else "none"
        count = {"short": max(1, length - 1), "long": length + 3}.get(fault, length)
        for beat in range(count):
            last = beat == count - 1 and fault != "no last"
            data = word((address - BASE) // BYTES + beat)
            resp, name = 2 * (fault == "error" and beat == length // 2), int(fault == "other id")
            yield {"rdata": data, "rresp": resp, "rid": name, "rlast": int(last)}


def check(address: int, length: int) -> None:
    """The rules of AXI4 for what is asked for, and the window."""
    assert 1 <= length <= BURST
    assert address // 4096 == (address + length * BYTES - 1) // 4096, "a burst crosses 4 KB"
    assert address >= BASE
    assert address + length * BYTES <= BASE + SIZE * BYTES, "outside the window"
    assert address % BYTES == 0


@cocotb.test()
async def nothing_hangs(dut: Any) -> None:
    """A fault in one burst, a reset in flight, and then all is right again."""
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    for case in range(CASES):
        rng = random.Random(case)
        fault = list(FAULTS)[case % len(FAULTS)]
        bench, memory = Bench(dut, case), Broken(dut, fault, rng.randrange(4), rng)
        asked = runs(rng)
        if fault == "outside":
            asked[rng.randrange(len(asked))] = (SIZE - 2, 8)
        await bench.reset()
        serving = cocotb.start_soon(memory.serve())
        asking = cocotb.start_soon(bench.ask(asked))
        if case % 7 == 3:  # a reset in flight, of both ends
            await bench.take(3, 30)
            serving.cancel()
            asking.cancel()
            dut.m_axi_rvalid.value = 0
            await bench.reset()
            serving, asking = cocotb.start_soon(memory.serve()), cocotb.start_soon(bench.ask(asked))
            memory.asked.clear()
            memory.bursts = 0
        alone = case % 7 == 5  # a reset of the reader, whose memory goes on to answer
        if alone:
            await bench.take(3, 30)
            asking.cancel()
            await bench.reset(memory=False)
            asking = cocotb.start_soon(bench.ask(asked))
        count = sum(beats for _, beats in asked)
        assert await bench.take(count, 6000), f"{fault} in case {case}: {len(bench.come)} of {count} beats came"
        for _ in range(8):
            await RisingEdge(dut.clk)
            assert not dut.valid.value, f"{fault} in case {case}: a beat too many"
        found = int(dut.fault.value)
        due = [word(first + n) for first, beats in asked for n in range(beats)]
        lengths = cut(asked)
        met = fault == "outside" or (memory.at < len(lengths) and not (fault == "short" and lengths[memory.at] == 1))
        assert not found & ~FAULTS[fault], f"{fault} in case {case}: {found:04b}"
        met = met and not alone  # but in what was thrown away
        assert found if met and FAULTS[fault] else found or bench.come == due, (
            f"{fault} in case {case}: nothing says so"
        )
        assert found == 0 or FAULTS[fault]
        serving.cancel()
        asking.cancel()
        dut.m_axi_rvalid.value = 0


def test_runs_and_faults() -> None:
    simulator.run(TOP, __name__, build(), {})


@pytest.mark.parametrize(
    "edit",
    [
        ("if (int'(page_left) < BURST) length = BurstBits'(page_left);", ""),
        ("assign asks = !outside && !dead_q;", "assign asks = !dead_q;"),
        ("else if (rst) stale_q <= flight;", "else if (rst) stale_q <= '0;"),
    ],
)
def test_a_master_that_breaks_a_rule_is_found(edit: tuple[str, str]) -> None:
    with pytest.raises(AssertionError):
        simulator.run(TOP, __name__, build(edit), {})
