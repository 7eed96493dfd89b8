"""The register block over AXI4-Lite against its map (``hls/driver/registers.py``), with stalls on all five channels."""

import itertools
import random
import re
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from spikegpt_hls.hls.driver import registers as regs
from spikegpt_hls.hls.driver.registers import OFFSET, REGISTERS
from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD, bursts
from spikegpt_hls.rtl_tests.ip.ports import broken

ROOT = Path(__file__).parents[2]
SHAPE = {"VERSION": 3, "VOCABULARY": 50277, "CHANNELS": 768, "LAYERS": 3, "LANES": 8, "CONTEXTS": 4, "LOGIT_BITS": 21,
         "LOGIT_FRAC": 9, "CLASSES": 5, "LONGEST": 1024, "SLOT_BITS": 32, "BEAT_BYTES": 32, "LIFS": 6, "LINEARS": 5,
         "COUNTER_BITS": 48, "MEMORY_BYTES": 23 << 20, "MEMORY_DIGEST": 0x1234ABCD}  # fmt: skip
FAULT = {"unknown id": 1, "short packet": 2, "long packet": 4, "no such context": 8}


class TB:
    def __init__(self, dut: Any, stall: float) -> None:
        self.dut = dut
        cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
        self.axi = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        write, read = self.axi.write_if, self.axi.read_if
        for number, channel in enumerate(
            (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
        ):
            write.log.setLevel("WARNING")
            read.log.setLevel("WARNING")
            if stall:
                channel.set_pause_generator(bursts(random.Random(number), stall))

    async def reset(self) -> None:
        faults = ("fault", "fault_position", "fault_id", "memory_fault")
        for name in ("idle", *faults, *regs.COUNTERS, "spike_counts", "event_counts"):
            getattr(self.dut, name).value = 0
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 30)

    async def read(self, offset: int) -> int:
        return int(await with_timeout(self.axi.read_dword(offset), 100, "us"))

    async def write(self, offset: int, value: int) -> None:
        await with_timeout(self.axi.write_dword(offset, value), 100, "us")

    async def fault(self, kind: str, position: int, token: int) -> None:
        self.dut.fault.value, self.dut.fault_position.value, self.dut.fault_id.value = FAULT[kind], position, token
        await RisingEdge(self.dut.clk)
        self.dut.fault.value = 0
        await RisingEdge(self.dut.clk)


@cocotb.test()
@cocotb.parametrize(stall=(0, 0.5))
async def tells_its_geometry_and_keeps_settings(dut: Any, stall: float) -> None:
    tb = TB(dut, stall)
    await tb.reset()
    constants = {
        "identity": regs.IDENTITY, "version": 3, "vocabulary": 50277, "channels": 768, "layers": 3, "lanes": 8,
        "contexts": 4, "logits": 32 << 16 | 9 << 8 | 21, "spiking": 6, "beat_bytes": 32, "driven": 5,
        "classes": 5, "longest": 1024, "memory_bytes": 23 << 20, "memory_digest": 0x1234ABCD,
    }  # fmt: skip
    resting = {"control": 0, "mode": 0, "length": 0, "generate": 1, "status": 0, "errors": 0, "error_count": 0,
               "memory_base": 0, "memory_faults": 0}  # fmt: skip
    rng = random.Random(5)
    for name, value in (constants | resting).items():
        assert await tb.read(OFFSET[name]) == value, name
    assert int(dut.memory_placed.value) == 0
    settings = (
        ("mode", 3, None), ("length", 32, dut.length), ("generate", 16, dut.count), ("memory_base", 32, dut.memory_base)
    )  # fmt: skip
    for name, bits, port in settings:
        value = rng.getrandbits(32)
        await tb.write(OFFSET[name], value)
        assert await tb.read(OFFSET[name]) == value % (1 << bits), name
        assert port is None or int(port.value) == value % (1 << bits)
    assert int(dut.memory_placed.value) == 1
    await tb.axi.write(OFFSET["length"] + 1, b"\xa5")  # one byte of four
    assert int(dut.length.value) >> 8 & 0xFF == 0xA5
    assert int(dut.length.value) & 0xFFFF00FF == value_of(rng, 2) & 0xFFFF00FF
    for name in constants:
        await tb.write(OFFSET[name], 0)
        assert await tb.read(OFFSET[name]) == constants[name], f"{name} can be written"
    await tb.write(OFFSET["mode"], 0b110)
    assert (int(dut.mode.value), int(dut.resume.value)) == (2, 1)
    known = {r.offset for r in REGISTERS} | set(range(OFFSET["memory_beats"], OFFSET["spikes"] + 48, 4))
    known |= set(range(OFFSET["reads"], OFFSET["reads"] + 40, 4))
    for offset in {*range(0, 0x200, 4), *range(0x7F0, 0x880, 4), 0xFFC} - known:
        assert await tb.read(offset) == 0, hex(offset)


def value_of(rng: random.Random, number: int) -> int:
    """The ``number``-th word of a fresh generator of the same seed."""
    again = random.Random(5)
    return [again.getrandbits(32) for _ in range(number)][-1]


@cocotb.test()
@cocotb.parametrize(stall=(0, 0.5))
async def errors_stay_until_cleared(dut: Any, stall: float) -> None:
    tb = TB(dut, stall)
    await tb.reset()
    dut.memory_fault.value = 0b1010
    assert await tb.read(OFFSET["memory_faults"]) == 0b1010
    await tb.fault("short packet", 3, 77)
    await tb.fault("unknown id", 9, 60000)
    assert await tb.read(OFFSET["errors"]) == 0b011
    assert [await tb.read(OFFSET[f"error_{what}"]) for what in ("count", "position", "id")] == [2, 3, 77]
    await tb.write(OFFSET["errors"], 0b010)
    assert await tb.read(OFFSET["errors"]) == 0b001
    await tb.write(OFFSET["errors"], 0b001)
    await tb.fault("long packet", 5, 6)
    assert [await tb.read(OFFSET[f"error_{what}"]) for what in ("count", "position", "id")] == [3, 5, 6]
    await tb.fault("no such context", 0, 1)
    assert await tb.read(OFFSET["errors"]) == 0b1100
    await tb.write(OFFSET["control"], regs.RUN | regs.CLEAR)
    assert [await tb.read(OFFSET[name]) for name in ("errors", "error_count", "error_position")] == [0, 0, 0]
    assert int(dut.run.value) == 1
    assert int(dut.model_rst.value) == 0


@cocotb.test()
async def resets_the_model(dut: Any) -> None:
    tb = TB(dut, 0)
    await tb.reset()
    assert int(dut.model_rst.value) == 0
    await tb.write(OFFSET["length"], 7)
    await tb.fault("long packet", 5, 6)
    pulses = 0
    write = cocotb.start_soon(tb.write(OFFSET["control"], regs.RUN | regs.RESET))
    for _ in range(40):
        await RisingEdge(dut.clk)
        pulses += int(dut.model_rst.value)
    await write
    assert pulses >= 8
    assert int(dut.model_rst.value) == 0
    assert [await tb.read(OFFSET[name]) for name in ("errors", "length", "control")] == [0, 7, 1]


@cocotb.test()
@cocotb.parametrize(stall=(0, 0.5))
async def counters_are_read_whole(dut: Any, stall: float) -> None:
    """Low then high of a counter that runs on between the two: never a mix."""
    tb = TB(dut, stall)
    await tb.reset()
    values = random.Random(3)
    spikes = [values.getrandbits(48) for _ in range(6)]
    reads = [values.getrandbits(48) for _ in range(5)]
    dut.spike_counts.value = sum(count << 48 * n for n, count in enumerate(spikes))
    dut.event_counts.value = sum(count << 48 * n for n, count in enumerate(reads))
    others = {name: values.getrandbits(48) for name in regs.COUNTERS if name != "cycles"}
    for name, value in others.items():
        getattr(dut, name).value = value

    async def whole(offset: int) -> int:
        low = await tb.read(offset)
        return await tb.read(offset + 4) << 32 | low

    shown = set()

    async def runs() -> None:
        for count in itertools.count(0, (1 << 28) + 1):  # a carry into the high half every 16 cycles
            dut.cycles.value = count
            shown.add(count)
            await RisingEdge(dut.clk)

    cocotb.start_soon(runs())
    for _ in range(40):
        now = await whole(OFFSET["cycles"])
        assert now in shown, f"{now:x} was never counted"
    assert {name: await whole(OFFSET[name]) for name in others} == others
    assert [await whole(OFFSET["spikes"] + 8 * n) for n in range(6)] == spikes
    assert [await whole(OFFSET["reads"] + 8 * n) for n in range(5)] == reads


@cocotb.test()
@cocotb.parametrize(stall=(0, 0.5))
async def masters_need_not_wait(dut: Any, stall: float) -> None:
    """Reads and writes that are all asked for at once: each is answered once, in order."""
    tb = TB(dut, stall)
    await tb.reset()
    writes = [tb.axi.init_write(OFFSET["length"], number.to_bytes(4, "little")) for number in range(1, 30)]
    reads = [tb.axi.init_read(OFFSET["length"], 4) for _ in range(30)]
    constants = [tb.axi.init_read(OFFSET[name], 4) for name in ("identity", "channels", "vocabulary")]
    for event in (*writes, *reads, *constants):
        await with_timeout(event.wait(), 100, "us")
    seen = [int.from_bytes(event.data.data, "little") for event in reads]
    assert seen == sorted(seen)
    assert int(dut.length.value) == 29
    assert [int.from_bytes(event.data.data, "little") for event in constants] == [regs.IDENTITY, 768, 50277]


def run(folder: Path, files: list[Path]) -> None:
    simulator.build(files, "registers", folder, SHAPE)
    simulator.run("registers", __name__, folder, {})


def test_the_registers_are_those_of_the_map() -> None:
    run(BUILD.resolve() / "registers", sources("registers"))


@pytest.mark.parametrize(
    ("whole", "instead"),
    [
        ("offset[0] ? high_q : wide[31:0]", "offset[0] ? wide[63:32] : wide[31:0]"),
        ("(errors_q & ~cleared) | fault", "fault"),
        ("(length & ~write_mask) | ones", "ones"),
    ],
)
def test_registers_that_err_are_noticed(whole: str, instead: str) -> None:
    """The negative control: a torn counter, errors that do not stay, strobes that are not heeded."""
    with pytest.raises(AssertionError):
        run(*broken("registers", whole, instead))


def test_one_map_for_hardware_driver_and_reader() -> None:
    """The offsets in the SystemVerilog, and the page in docs, are those of the table."""
    text = sources("registers")[0].read_text()
    found = re.findall(r"localparam logic \[WordBits-1:0\] (\w+) = WordBits'\('h(\w+) / 4\);", text)
    snake = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): int(offset, 16) for name, offset in found}
    behind = (*regs.COUNTERS[1:], "spikes")  # counters, which follow the first one
    assert snake == {name: offset for name, offset in OFFSET.items() if name not in behind}
    assert [OFFSET[name] for name in behind] == [OFFSET[regs.COUNTERS[0]] + 8 * (n + 1) for n in range(len(behind))]
    assert (ROOT / "docs" / "registers.md").read_text() == "\n".join(regs.table()) + "\n"
