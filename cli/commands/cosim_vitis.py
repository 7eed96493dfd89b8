"""The same whole-model check on the Verilog that Vitis HLS wrote, where Vitis has run: its logits against PyTorch's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.errors import MismatchError
from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import HLS
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.rtl.writer import TOP
from spikegpt_hls.rtl_tests.simulator import ToolError, require_tools
from spikegpt_hls.rtl_tests.vitis.verilog import simulate, verilog_of

STALL_SEED = 20231


def cosim(runner: Runner) -> None:
    """``cosim_vitis.json`` and a table; MismatchError (exit code 1) where a logit is not PyTorch's."""
    require_tools()
    if runner.place.target != "xilinx":
        raise ToolError("rtl=vitis is the Verilog of a Vitis project, which only target=xilinx has")
    runner.make(HLS)
    place = runner.place
    verilog = verilog_of(place.hls / "vitis", TOP)
    dataflow = Dataflow.from_json(json.loads(place.dataflow.read_text()))
    with np.load(place.vectors, allow_pickle=False) as arrays:
        tokens, lengths, want = arrays["tokens"], arrays["lengths"], arrays[dataflow.driver[dataflow.sink].name]
    sequences = np.split(tokens, np.cumsum(lengths)[:-1])
    runs: dict[str, Any] = {}
    for name, stall in (("flowing", 0), ("stalled", STALL_SEED)):
        with runner.console.status(f"cosim: {len(tokens)} tokens through Vitis's Verilog, {name}"):
            got, cycles = simulate(verilog, TOP, dataflow, place.work / "vitis", sequences, stall)
        unequal = got != want
        runs[name] = {"compared": int(want.size), "mismatches": int(unequal.sum()), "cycles": cycles}
        if unequal.any():
            token, channel = (int(axis[0]) for axis in np.nonzero(unequal))
            raise MismatchError(
                f"Vitis's Verilog ({name}) is not PyTorch's model: first difference at logit {channel}, token {token}: "
                f"{got[token, channel]}, PyTorch {want[token, channel]}"
            )
    result = {"tokens": len(tokens), "sequences": len(lengths), "runs": runs, "verilog": str(verilog)}
    write_json(place.folder / "cosim_vitis.json", result)
    _show(runner.console, runs)


def _show(console: Console, runs: dict[str, Any]) -> None:
    table = Table("run", "logits compared", "mismatches", "cycles", title="the Verilog that Vitis HLS wrote")
    for name, run in runs.items():
        table.add_row(name, f"{run['compared']:,}", str(run["mismatches"]), f"{run['cycles']:,}")
    console.print(table)
