"""How fast the RTL of a whole model is simulated: ``python -m spikegpt_hls.rtl_tests.top.speed build/tiny``."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests.top.cosim import Model

TOKENS = 512
WARM = 64  # tokens of the run whose time is taken off: that of starting the simulator and cocotb
REPEATS = 3


@dataclass(frozen=True)
class Speed:
    """Clock cycles of the RTL, every stream recorded, and the wall clock's seconds; the best of ``REPEATS``."""

    cycles: int
    seconds: float
    start: float  # what a run takes beyond its cycles

    @property
    def cycles_per_second(self) -> float:
        return self.cycles / self.seconds

    @property
    def with_start(self) -> float:
        """Cycles per second of a run of ``TOKENS``, from its process's start to its end."""
        return self.cycles / (self.seconds + self.start)


def speed(model: Model, tokens: Ints) -> Speed:
    """Of a model that was built: two lengths in turns, whose difference has no start in it."""
    ids = np.resize(tokens, TOKENS + WARM)
    runs = [(_run(model, ids[:WARM]), _run(model, ids)) for _ in range(REPEATS)]
    (short, short_s), (whole, whole_s) = (min(turn, key=lambda run: run[1]) for turn in zip(*runs, strict=True))
    cycles, seconds = whole - short, whole_s - short_s
    return Speed(cycles, seconds, short_s - short * seconds / cycles)


def _run(model: Model, ids: Ints) -> tuple[int, float]:
    begin = time.perf_counter()
    run = model.run("speed", [ids])
    return int(run.counters["cycles"]), time.perf_counter() - begin


def main(folder: Path) -> None:
    """``folder`` is that of a preset for which ``cosim`` has run."""
    model = Model(folder / "hls" / "verilog" / "rtl", folder / "work" / "verilog")
    model.build()
    with np.load(folder / "vectors.npz", allow_pickle=False) as arrays:
        found = speed(model, arrays["tokens"])
    print(
        f"{TOKENS} tokens, {found.cycles:,} cycles in {found.seconds:.2f} s: {found.cycles_per_second:,.0f} cycles/s; "
        f"{found.with_start:,.0f} with the {found.start:.2f} s that a run takes to start"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
