"""A classifier's IP in simulation: the driver sends it sentences, one after the other, and it answers with classes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.task import bridge

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.driver.spikegpt import SpikeGPT
from spikegpt_hls.hls.ip import writer
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.ip.device import Simulated

PATIENCE = 10_000  # ms of 100 MHz for a sentence


@dataclass(frozen=True)
class Answers:
    """Of each sentence its class, and the cycles from its first id to its last logits, alone in the hardware."""

    classes: Ints
    cycles: Ints


class Classifier:
    """Built once from a model's RTL, and run with any sentences."""

    def __init__(self, rtl: Path, work: Path) -> None:
        self.rtl, self.work = rtl.resolve(), work.resolve()
        self.dataflow = Dataflow.from_json(json.loads((rtl / "dataflow.json").read_text()))

    def build(self, level: int = 2) -> None:
        """``level`` as that of ``top.cosim.Model``."""
        writer.write(self.dataflow, self.work / "ip")
        simulator.build(self.files(), writer.TOP, self.work / "simulator", level=level)

    def files(self) -> list[Path]:
        """The sources of the IP."""
        model = [path for path in sorted(self.rtl.glob("*.sv")) if path.name != "testbench.sv"]
        return [*model, *sorted((self.work / "ip").glob("*.*v"))]

    def classify(self, name: str, sentences: Sequence[Ints], stall: float = 0) -> Answers:
        """Ids (T,) of each sentence; ``stall``: the share of cycles in which every port pauses. Sentence ``i`` is sent
        to context ``i % contexts``."""
        folder = self.work / name
        folder.mkdir(parents=True, exist_ok=True)
        asked = {"sentences": [ids.tolist() for ids in sentences], "stall": stall}
        (folder / "request.json").write_text(json.dumps(asked))
        request = {"REQUEST": str(folder / "request.json")}
        simulator.run(writer.TOP, __name__, self.work / "simulator", request, cwd=self.rtl, logs=folder)
        found = json.loads((folder / "answers.json").read_text())
        return Answers(np.array(found["classes"], np.int64), np.array(found["cycles"], np.int64))


@cocotb.test()
async def classifies(dut: Any) -> None:
    """Every sentence of the request, by the driver."""
    path = Path(os.environ["REQUEST"])
    request = json.loads(path.read_text())
    ports = Simulated(dut, request["stall"], PATIENCE)
    await ports.reset()
    model = await bridge(SpikeGPT)(ports, ports)

    def ask() -> dict[str, list[int]]:
        answers: dict[str, list[int]] = {"classes": [], "cycles": []}
        for number, sentence in enumerate(request["sentences"]):
            model.reset()  # begins the counters anew
            answers["classes"].append(model.classify(sentence, number % model.geometry.contexts))
            answers["cycles"].append(model.counters["cycles"])
        return answers

    found = await bridge(ask)()
    path.with_name("answers.json").write_text(json.dumps(found))
