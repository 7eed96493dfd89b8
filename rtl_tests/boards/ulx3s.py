"""A ULX3S with a small model in its SDRAM, simulated at its pins, and a line to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import Timer

from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.ip.uart import Uart
from spikegpt_hls.rtl_tests.lint import lint

TOP = "board"
HERE = Path(__file__).parent
VOCABULARY, CONTEXTS = 28, 2
DIVIDER = 4  # cycles per bit: the line is not what is looked at
CLOCK = 40  # ns, of the oscillator
#: Of the ECP5, as models.
CELLS = ("EHXPLLL", "ODDRX1F", "OFS1P3BX", "IFS1P3BX", "TRELLIS_IO")
LENGTHS, GENERATED = (7, 4), 6
SEED = 5
#: For models with delays; Verilator's coroutines want the compiler to be told.
OPTIONS = ("--timing", "-Wno-WIDTH", "-CFLAGS", "-std=c++20 -fcoroutines")
INSIDE = ("att_key", "att_value", "att_receptance", "att_output", "ffn_key", "ffn_receptance", "ffn_value")


class SimulatedLine:
    """A serial port for the host's driver, which works in a thread; ``gaps``: bit times between bytes."""

    def __init__(self, dut: Any, gaps: Any = lambda: 0) -> None:
        self.uart = Uart(dut.ftdi_txd, dut.ftdi_rxd, CLOCK // 2 * DIVIDER)
        self.gaps = gaps
        self._read = 0

    @resume
    async def read(self, size: int = 1) -> bytes:
        for _ in range(50):
            if len(self.uart.received) > self._read:
                break
            await Timer(20 * self.uart.bit, "ns")
        found = bytes(self.uart.received[self._read : self._read + size])
        self._read += len(found)
        return found

    @resume
    async def write(self, data: bytes) -> None:
        for byte in data:
            await self.uart.type(bytes([byte]))
            if gap := self.gaps():
                await Timer(gap * self.uart.bit, "ns")


async def power_up(dut: Any) -> None:
    """Until the SDRAM is ready."""
    import cocotb

    dut.btn_fire1.value = dut.damage.value = 0
    cocotb.start_soon(Clock(dut.clk_25mhz, CLOCK, "ns").start())
    while int(dut.led.value) & 1 or not int(dut.awake.value):
        await Timer(10, "us")


def prepare(
    folder: Path, layers: int, channels: int, refresh: float = 1.0, lanes: int = 4, contexts: int = CONTEXTS
) -> None:
    """The RTL of the board in ``folder/hls/rtl``, and what the integer model says in ``golden.npz``. ``refresh``: so
    many times as often as the chip wants it."""
    from spikegpt_hls.hls.boards import litedram, ulx3s_memory
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.frontend.graph import dataflow
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.export.qonnx import export
    from spikegpt_hls.quant.export.stepper import Stepper
    from spikegpt_hls.quant.export.vectors import trace

    shutil.rmtree(folder, ignore_errors=True)
    network = _network(layers, channels)
    export(network, folder)
    names = [f"blocks_{layer}_{name}" for layer in range(layers) for name in INSIDE]
    graph = convert(
        folder / "model.onnx", folder / "hls", "SpikeRTL", lanes=lanes, contexts=contexts, depth="folded",
        weights="memory", batch=contexts, events=names,
    )  # fmt: skip
    graph.write()
    rtl = folder / "hls" / "rtl"
    ulx3s_memory.write(dataflow(graph), rtl)
    if refresh != 1:
        litedram.write(rtl / f"{litedram.NAME}.sv", ulx3s_memory.CLOCK_HZ, refresh)
    rng = np.random.default_rng(SEED)
    sequences = [rng.integers(0, VOCABULARY, length) for length in LENGTHS]
    greedy = [list(generate(Stepper(network), ids.tolist(), GENERATED, Sampler(temperature=0))) for ids in sequences]
    head = trace(network, sequences)["head"]
    np.savez(folder / "golden.npz", tokens=np.concatenate(sequences), head=head, continued=np.array(greedy))


def save(place: Path, characters: str) -> None:
    """The checkpoint of the same network in a workspace, with a tokenizer of those characters."""
    from spikegpt_hls.model.corpus import tokenizer
    from spikegpt_hls.quant.storage import save_network

    used = tokenizer.CharacterTokenizer(characters)
    assert used.vocabulary == VOCABULARY
    save_network(_network(1, 8), place / "checkpoint.safetensors", {tokenizer.HEADER: used.content.decode()})


def continued(place: Path, text: str, tokens: int) -> str:
    """What the integer model writes behind a text, always the likeliest."""
    from spikegpt_hls.model.corpus import tokenizer
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.export.stepper import Stepper
    from spikegpt_hls.quant.storage import load_network

    network, header = load_network(place / "checkpoint.safetensors")
    used = tokenizer.beside(place / "checkpoint.safetensors", header)
    ids = generate(Stepper(network), used.encode(text.encode()).tolist(), tokens, Sampler(temperature=0))
    return used.decode(list(ids))


def _network(layers: int, channels: int) -> Any:
    from spikegpt_hls.quant.training.calibrate import random_network

    return random_network(
        layers, channels, seed=SEED, weight_bits=4, vocabulary=VOCABULARY, formats="shared", placement="spike-driven"
    )


def complaints(sources: list[Path]) -> list[str]:
    """What Verilator has to say about the board's top and what is ours in it."""
    said = lint("ulx3s", ["--timing", *map(str, sources)]).splitlines()
    others = ("litedram.sv", *(f"{cell}.sv" for cell in CELLS), "Exiting due to")
    return [line for line in said if line.startswith("%") and not any(name in line for name in others)]


def build(folder: Path) -> None:
    """The simulation of the board with the chip at its pins."""
    rtl = folder / "hls" / "rtl"
    made = [path for path in sorted(rtl.glob("*.sv")) if path.name != "testbench.sv"]
    cells = [HERE / f"{cell}.sv" for cell in CELLS]
    assert not complaints([*made, *cells])
    parts = [*cells, HERE / "sdram.sv", HERE / "board.sv"]
    simulator.build([*made, *parts], TOP, folder, {"DIVIDER": DIVIDER}, level=1, options=OPTIONS)


def golden(folder: Path) -> tuple[list[list[int]], list[np.ndarray], list[list[int]]]:
    """Sequences, the logits after each of their tokens, and how each goes on."""
    arrays = np.load(folder / "golden.npz")
    cuts = np.cumsum(LENGTHS)[:-1]
    sequences = [ids.tolist() for ids in np.split(arrays["tokens"], cuts)]
    return sequences, np.split(arrays["head"], cuts), arrays["continued"].tolist()
