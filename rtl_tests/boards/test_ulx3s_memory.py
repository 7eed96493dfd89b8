"""A ULX3S with the weights in its SDRAM, from pin to pin: its image is loaded over the serial line, checked, and the
model continues text as the integer model does. The cocotb tests run inside the simulation, where nothing loads torch.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge, resume
from cocotb.triggers import Timer

from spikegpt_hls.hls.driver.errors import DeviceError
from spikegpt_hls.hls.driver.serial import BAD, GOOD, Board
from spikegpt_hls.hls.driver.spikegpt import SpikeGPT
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.boards import ulx3s
from spikegpt_hls.rtl_tests.boards.ulx3s import SimulatedLine, power_up
from spikegpt_hls.rtl_tests.marks import slow

PATIENCE = 20.0  # seconds of this machine, for an answer


def connected(line: SimulatedLine) -> tuple[Board, SpikeGPT]:
    board = Board(line, PATIENCE)
    return board, SpikeGPT(board, board)


@cocotb.test()
async def a_session(dut: Any) -> None:
    """A load, logits, two texts at once, a reset by the button in the middle, a load that is there already."""
    folder = Path(os.environ["CASE"])
    sequences, logits, continued = ulx3s.golden(folder)
    image = folder / "hls" / "rtl" / "memory.bin"
    await power_up(dut)
    rng = random.Random(1)
    line = SimulatedLine(dut, lambda: rng.choice([0] * 60 + [1, 13, 200]))
    cocotb.start_soon(line.uart.listen())

    @resume
    async def press() -> None:
        dut.btn_fire1.value = 1
        await Timer(1, "us")
        dut.btn_fire1.value = 0
        await Timer(20, "us")

    def session() -> None:
        board, model = connected(line)
        with pytest.raises(DeviceError, match="no weights yet"):
            model.run(sequences[0])
        model.load(image, board.allocate)
        assert board.loaded == (image.stat().st_size, GOOD | 1)
        for ids, expected in zip(sequences, logits, strict=True):
            assert np.array_equal(model.run(ids), expected), "the board writes something else"
        assert model.generate_all(sequences, ulx3s.GENERATED) == continued
        model.stream.send(np.array(sequences[0], np.uint32), 0)  # while rows are on their way
        press()
        board, model = connected(again(line))
        before = len(line.uart.received)
        model.load(image, board.allocate)  # which is there
        assert len(line.uart.received) - before < 500
        assert np.array_equal(model.run(sequences[1]), logits[1]), "logits after the button"

    await bridge(session)()
    assert int(dut.led.value) == 0b0100, "only the lamp of a good image is on"
    assert int(dut.sdram_errors.value) == 0, "the chip was asked for what it forbids: run.log says what"


@cocotb.test()
async def a_token(dut: Any) -> None:
    """The memory has its image from the beginning."""
    folder = Path(os.environ["CASE"])
    sequences, logits, _ = ulx3s.golden(folder)
    await power_up(dut)
    line = SimulatedLine(dut)
    cocotb.start_soon(line.uart.listen())

    def session() -> None:
        board = Board(line, 60 * PATIENCE)
        model = SpikeGPT(board, board)
        model.write("memory_base", 0)
        model.reset()
        model._weights = b"there"
        assert np.array_equal(model.run(sequences[0][:1]), logits[0][:1])
        cycles, beats = model.counters["cycles"], model.counters["memory_beats"]
        cocotb.log.warning(f"a token by pins: {cycles:,} cycles since the reset, {beats:,} beats of the memory")

    await bridge(session)()
    assert int(dut.sdram_errors.value) == 0


def again(line: SimulatedLine) -> SimulatedLine:
    """A host that begins anew: it has not read what came before."""
    line._read = len(line.uart.received)
    return line


@cocotb.test()
async def a_damaged_memory(dut: Any) -> None:
    """One word of the chip changes behind the load: the lamp, a sentence, and a load that mends it."""
    folder = Path(os.environ["CASE"])
    sequences, logits, _ = ulx3s.golden(folder)
    image = folder / "hls" / "rtl" / "memory.bin"
    await power_up(dut)
    line = SimulatedLine(dut)
    cocotb.start_soon(line.uart.listen())

    @resume
    async def damage() -> None:
        dut.damage.value = 1
        await Timer(1, "us")
        dut.damage.value = 0

    def session() -> None:
        board, model = connected(line)
        content = image.read_bytes()
        board._send_rest(content)
        damage()
        assert board._checked() & (GOOD | BAD) == BAD
        assert board_lamps() == 0b0010
        model.load(image, board.allocate)  # finds it bad, and sends it again
        assert board.loaded[1] & (GOOD | BAD) == GOOD
        assert np.array_equal(model.run(sequences[0]), logits[0])

        board._ask(b"Z")
        with pytest.raises(DeviceError, match=r"the board refuses the image: .* lamp of the damaged image is on"):
            board.fill(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
        assert board_lamps() == 0b0010
        model.load(image, board.allocate)
        assert board_lamps() == 0b0100
        assert np.array_equal(model.run(sequences[0]), logits[0])

    @resume
    async def board_lamps() -> int:
        await Timer(1, "us")
        return int(dut.led.value) & 0b0110

    await bridge(session)()
    assert int(dut.sdram_errors.value) == 0


def run(folder: Path, test: str, plusargs: Sequence[str] = ()) -> None:
    environment = {"CASE": str(folder), "COCOTB_TEST_FILTER": test}
    simulator.run(ulx3s.TOP, __name__, folder, environment, plusargs, cwd=folder / "hls" / "rtl", logs=folder)


@pytest.mark.parametrize(
    ("test", "layers", "channels", "refresh"),
    [
        ("a_session", 1, 8, 1),
        ("a_damaged_memory", 1, 8, 1),
        slow("a_session", 2, 64, 3),  # a storm of refreshes: every 128 cycles, and LiteDRAM makes none below 100
    ],
)
def test_a_board_whose_sdram_holds_the_weights(test: str, layers: int, channels: int, refresh: int) -> None:
    folder = BUILD.resolve() / f"ulx3s_memory_{channels}_{test}"
    ulx3s.prepare(folder, layers, channels, refresh)
    ulx3s.build(folder)
    run(folder, test)


@pytest.mark.slow
def test_one_token_of_46m() -> None:
    """The design that ``make hls preset=46m target=ulx3s`` routes, but for its weights."""
    folder = BUILD.resolve() / "ulx3s_memory_46m"
    ulx3s.prepare(folder, 12, 512, lanes=2, contexts=1)
    words = np.fromfile(folder / "hls" / "rtl" / "memory.bin", "<u2")
    (folder / "image.hex").write_text("\n".join(f"{word:04x}" for word in words.tolist()))
    ulx3s.build(folder)
    run(folder, "a_token", [f"+IMAGE={folder / 'image.hex'}"])
