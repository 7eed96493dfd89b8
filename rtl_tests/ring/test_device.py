"""The IP whose weights lie in a memory, and its driver: a session over AXI4-Lite, a DMA as PYNQ's and an AXI4 memory of
cocotbext-axi's, which may answer with an error. The cocotb test runs inside the simulation, where nothing loads torch.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge
from cocotbext.axi import AxiRamRead, AxiReadBus, AxiResp

from spikegpt_hls.hls.driver.errors import DeviceError
from spikegpt_hls.hls.driver.pynq import PynqStream
from spikegpt_hls.hls.driver.spikegpt import SpikeGPT
from spikegpt_hls.hls.ip import writer
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD, bursts
from spikegpt_hls.rtl_tests.ip.device import Dma, Simulated
from spikegpt_hls.rtl_tests.lint import lint

VOCABULARY, CHANNELS, LAYERS, BATCH = 15, 8, 2, 2
LENGTHS = (7, 4)
GENERATED = 5
BASE = 0x1000  # of the buffer, in a memory of 1 MB


class Buffer(np.ndarray):
    """A buffer as PYNQ's: the device sees what was flushed."""

    device_address = BASE
    ram: AxiRamRead

    def flush(self) -> None:
        self.ram.write(self.device_address, self.tobytes())


class Memory(AxiRamRead):
    """With ``wrong`` it answers the next beat with an error."""

    wrong = False

    def __init__(self, dut: Any, stall: float) -> None:
        super().__init__(AxiReadBus.from_prefix(dut, "m_axi"), dut.aclk, dut.aresetn, False, size=1 << 20)
        self.log.setLevel("WARNING")
        send = self.r_channel.send

        async def answer(beat: Any) -> None:
            if self.wrong:
                beat.rresp, self.wrong = AxiResp.SLVERR, False
            await send(beat)

        self.r_channel.send = answer
        for number, channel in enumerate((self.ar_channel, self.r_channel) if stall else ()):
            channel.set_pause_generator(bursts(random.Random(number), stall))

    def allocate(self, shape: tuple[int], dtype: type) -> Buffer:
        buffer = np.zeros(shape, dtype).view(Buffer)
        buffer.ram = self
        return buffer


@cocotb.test()
@cocotb.parametrize(stall=(0, 0.3))
async def a_session(dut: Any, stall: float) -> None:
    """Refused images, a load, logits, texts, a bus error, resets in flight, and all is right again."""
    folder = Path(os.environ["CASE"])
    arrays = np.load(folder / "golden.npz")
    cuts = np.cumsum(LENGTHS)[:-1]
    sequences = [ids.tolist() for ids in np.split(arrays["tokens"], cuts)]
    logits, continued = np.split(arrays["head"], cuts), arrays["continued"].tolist()
    ports, memory = Simulated(dut, stall), Memory(dut, stall)
    await ports.reset()
    stream = await bridge(PynqStream)(Dma(ports, stall), np.zeros, room=1 << 12)
    model = await bridge(SpikeGPT)(ports, stream)
    image = folder / "hls" / "rtl" / "memory.bin"

    def session() -> None:
        told = model.geometry
        assert (told.layers, told.channels, told.vocabulary) == (LAYERS, CHANNELS, VOCABULARY)
        assert told.memory_bytes == image.stat().st_size
        with pytest.raises(DeviceError, match="no weights yet"):
            model.run(sequences[0])
        for name, said in REFUSED.items():
            with pytest.raises(DeviceError, match=said):
                model.load(folder / name, memory.allocate)
        model.load(image, memory.allocate)
        for ids, expected in zip(sequences, logits, strict=True):
            assert np.array_equal(model.run(ids), expected), "logits differ"
        assert model.counters["memory_beats"] > 0
        assert model.generate(sequences[0], GENERATED) == continued[0]
        assert model.generate_all(sequences, GENERATED) == continued, "two texts at once"

        memory.wrong = True
        with pytest.raises(DeviceError, match="reading weights met an error response"):
            model.run(sequences[0])
        with pytest.raises(DeviceError, match="until reset"):
            model.run(sequences[0])
        model.reset()
        assert np.array_equal(model.run(sequences[0]), logits[0]), "logits after an error and a reset"

        for wait in range(3):  # while rows are on their way
            stream.send(np.array(sequences[1], np.uint32), 1 << 10)
            for _ in range(wait):
                model.read("status")
            stream.reset()
            model.reset()
            assert np.array_equal(model.run(sequences[1]), logits[1]), "logits after a reset in flight"

    await bridge(session)()


#: Files beside the image, and what is said of them.
REFUSED = {
    "nothing.bin": "cannot read the image",
    "text.bin": "is no image of weights",
    "version.bin": "version 9 of the image, not 1",
    "damaged.bin": "is damaged",
    "short.bin": "is damaged",
    "other.bin": "of another model",
}


def prepare(folder: Path) -> None:
    """The IP of a small random model, what the integer model says, and images that are to be refused."""
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.frontend.graph import dataflow
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.export.qonnx import export
    from spikegpt_hls.quant.export.stepper import Stepper
    from spikegpt_hls.quant.export.vectors import trace
    from spikegpt_hls.quant.training.calibrate import random_network

    shutil.rmtree(folder, ignore_errors=True)
    for seed, name in ((6, "other"), (5, "hls")):
        network = random_network(LAYERS, CHANNELS, seed=seed, vocabulary=VOCABULARY, formats="shared")
        export(network, folder)
        graph = convert(
            folder / "model.onnx", folder / name, "SpikeRTL", lanes=1, contexts=BATCH, depth="folded",
            weights="memory", batch=BATCH,
        )  # fmt: skip
        graph.write()
    writer.write(dataflow(graph), folder / "hls" / "ip")
    rng = np.random.default_rng(5)
    sequences = [rng.integers(0, VOCABULARY, length) for length in LENGTHS]
    greedy = [list(generate(Stepper(network), ids.tolist(), GENERATED, Sampler(temperature=0))) for ids in sequences]
    head = trace(network, sequences)["head"]
    np.savez(folder / "golden.npz", tokens=np.concatenate(sequences), head=head, continued=np.array(greedy))

    whole = (folder / "hls" / "rtl" / "memory.bin").read_bytes()
    shutil.copyfile(folder / "other" / "rtl" / "memory.bin", folder / "other.bin")
    (folder / "text.bin").write_bytes(b"once upon a time" * 1000)
    (folder / "version.bin").write_bytes(whole[:8] + b"\x09" + whole[9:])
    (folder / "damaged.bin").write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    (folder / "short.bin").write_bytes(whole[:-1])


def build(folder: Path) -> None:
    rtl, ip = folder / "hls" / "rtl", folder / "hls" / "ip"
    model = [path for path in sorted(rtl.glob("*.sv")) if path.name != "testbench.sv"]
    files = [*model, *sorted(ip.glob("*.*v"))]
    assert lint(writer.TOP, list(map(str, files))) == ""
    simulator.build(files, writer.TOP, folder)


def test_a_session_with_a_device_whose_weights_lie_in_a_memory() -> None:
    folder = BUILD.resolve() / "ip_memory"
    prepare(folder)
    build(folder)
    simulator.run(writer.TOP, __name__, folder, {"CASE": str(folder)}, cwd=folder / "hls" / "rtl", logs=folder)
