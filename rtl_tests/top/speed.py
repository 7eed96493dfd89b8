"""How fast the RTL of a whole model is simulated: ``python -m spikegpt_hls.rtl_tests.top.speed build/tiny``."""

from __future__ import annotations

import resource
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
    """Clock cycles of the RTL, every stream recorded; seconds by the wall clock, and of the processor, which tell the
    same where nothing else runs. The best of ``REPEATS``."""

    cycles: int
    seconds: float
    cpu_seconds: float
    start: float  # seconds that a run takes beyond its cycles

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
    turns = [(_run(model, ids[:WARM]), _run(model, ids)) for _ in range(REPEATS)]
    (begin, begin_s, begin_cpu), (end, end_s, end_cpu) = np.array(turns).min(axis=0)
    cycles, seconds = int(end - begin), end_s - begin_s
    return Speed(cycles, seconds, end_cpu - begin_cpu, begin_s - begin * seconds / cycles)


def _run(model: Model, ids: Ints) -> tuple[int, float, float]:
    """Cycles, and seconds of both kinds."""
    begin, cpu = time.perf_counter(), _cpu()
    run = model.run("speed", [ids])
    return int(run.counters["cycles"]), time.perf_counter() - begin, _cpu() - cpu


def _cpu() -> float:
    """Processor seconds of the simulations so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(folder: Path) -> None:
    """``folder`` is that of a preset for which ``cosim`` has run."""
    model = Model(folder / "hls" / "verilog" / "rtl", folder / "work" / "verilog")
    model.build()
    with np.load(folder / "vectors.npz", allow_pickle=False) as arrays:
        found = speed(model, arrays["tokens"])
    print(
        f"{TOKENS} tokens, {found.cycles:,} cycles in {found.seconds:.2f} s: {found.cycles_per_second:,.0f} cycles/s; "
        f"{found.with_start:,.0f} with the {found.start:.2f} s that a run takes to start; "
        f"{found.cycles / found.cpu_seconds:,.0f} per second of the processor"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
