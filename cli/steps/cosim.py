"""The RTL of the whole model against PyTorch: without stalls and with, then cycles and energy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from spikegpt_hls.cli.errors import MismatchError
from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.graph.settings import Nothing
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.fold.planning import plan_of
from spikegpt_hls.hls.fold.ring import block_of
from spikegpt_hls.hls.memory import Layout
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests.contexts import interleave
from spikegpt_hls.rtl_tests.simulator import require_tools
from spikegpt_hls.rtl_tests.top.cosim import LATENCY, Comparison, Model, Run, compare
from spikegpt_hls.sim.cycles.schedule import Schedule, simulate
from spikegpt_hls.sim.dram import rows_opened
from spikegpt_hls.sim.rates import on_boards
from spikegpt_hls.sim.traces import Asked, asked, beats_read, events

STALL_SEED = 20231
HEAD = "head"
WAVE_TOKENS = 4


def check(place: Workspace, settings: Nothing) -> None:
    require_tools()


def run(place: Workspace, settings: Nothing, console: Console) -> None:
    """``cosim.json``; MismatchError (exit code 1) where a value is not PyTorch's."""
    write_json(place.cosim, verified(place, console))


def built(place: Workspace, console: Console) -> Model:
    """The RTL of the whole model, ready to simulate."""
    model = Model(place.rtl, place.work)
    with console.status("cosim: building the RTL simulation with Verilator"):
        model.build()
    return model


def golden_of(path: Path) -> dict[str, Ints]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def waves(place: Workspace, console: Console) -> None:
    """A waveform of the first tokens, from a build of its own: tracing makes every cycle slow and large."""
    model = Model(place.rtl, place.work / "waves", waves=True)
    with console.status(f"cosim: a waveform of {WAVE_TOKENS} tokens"):
        model.build(level=1)
        run = model.run("run", [golden_of(place.vectors)["tokens"][:WAVE_TOKENS]])
    say(console, f"waveform of the first {WAVE_TOKENS} tokens: {run.folder / 'waves.vcd'}")


def verified(place: Workspace, console: Console) -> dict[str, Any]:
    """What ``cosim.json`` is to say; MismatchError as in ``run``."""
    model = built(place, console)
    golden = _repeated(golden_of(place.vectors), model.dataflow.contexts)
    sequences = np.split(golden["tokens"], np.cumsum(golden["lengths"])[:-1])
    runs: dict[str, tuple[Run, Comparison]] = {}
    for name, stall in (("flowing", 0), ("stalled", STALL_SEED)):
        with console.status(f"cosim: {len(golden['tokens'])} tokens through the RTL, {name}"):
            run = model.run(name, sequences, stall)
            comparison = compare(run, golden)
        runs[name] = run, comparison
        if comparison.first is not None:
            raise MismatchError(f"the RTL ({name}) is not PyTorch's model: {comparison.first}")
    fired = events(model.dataflow, golden)
    order = runs["flowing"][0].order
    assert order is not None
    tokens = len(golden["tokens"])
    fired = {name: counts.reshape(tokens, -1)[order.row].ravel() for name, counts in fired.items()}
    reads = asked(model.dataflow, golden, order.row, LATENCY)
    schedule = simulate(model.dataflow, tokens, events=fired, asked=reads)
    result = _result(model.dataflow, golden, runs, schedule, fired, reads)
    if result["transfers"]["equal"] != result["transfers"]["compared"]:
        raise MismatchError(
            "the cycle simulator is not exact: {equal} of {compared} beats".format(**result["transfers"])
        )
    return result


def sent(dataflow: Dataflow, golden: Mapping[str, Ints]) -> tuple[Mapping[str, Ints], Ints]:
    """The vectors, each sequence as often as it is sent, and the order of their tokens in a run without stalls."""
    golden = _repeated(golden, dataflow.contexts)
    return golden, interleave(golden["lengths"].tolist(), dataflow.contexts, seed=0).row


def _repeated(golden: Mapping[str, Ints], contexts: int) -> dict[str, Ints]:
    """The vectors with their shortest sequence once more for every context that would have none."""
    lengths = golden["lengths"]
    taken = np.append(np.arange(len(lengths)), np.repeat(np.argmin(lengths), max(0, contexts - len(lengths))))
    ends = np.cumsum(lengths)
    tokens = np.concatenate([np.arange(ends[i] - lengths[i], ends[i]) for i in taken])
    by_sequence = {name for name in golden if name == "lengths" or "." in name}
    return {name: value[taken if name in by_sequence else tokens] for name, value in golden.items()}


def _result(
    dataflow: Dataflow,
    golden: Mapping[str, Ints],
    runs: Mapping[str, tuple[Run, Comparison]],
    schedule: Schedule,
    fired: Mapping[str, Ints],
    reads: Asked | None,
) -> dict[str, Any]:
    flowing, comparison = runs["flowing"]
    traces = {
        name: {"compared": compared, "mismatches": wrong, "kind": _kind(dataflow, name)}
        for name, (compared, wrong) in comparison.traces.items()
    }
    tokens = len(golden["tokens"])
    return {
        "tokens": tokens,
        "sequences": len(golden["lengths"]),
        "contexts": dataflow.contexts,
        "runs": {name: _run_result(run, found) for name, (run, found) in runs.items()},
        "compared": sum(found.compared for _, found in runs.values()),
        "mismatches": sum(found.mismatches for _, found in runs.values()),
        "traces": traces,
        "cycles_rtl": flowing.counters["cycles"],
        "cycles_simulated": schedule.cycles,
        "cycles_per_token_rtl": flowing.counters["cycles"] / tokens,
        "cycles_per_token_simulated": schedule.cycles / tokens,
        "cycles_per_token_steady": schedule.cycles_per_token,
        "transfers": _transfers(flowing, schedule),
        "blocks": {block.name: _block_cycles(schedule, block.name) for block in dataflow.blocks},
        "energy_per_token_j": _energy(dataflow, golden),
        **_reads(dataflow, golden, runs, schedule, reads),
        **_memory(dataflow, runs, reads),
        "events": {name: counts.tolist() for name, counts in fired.items()},
        "provenance": _provenance(),
    }


def _reads(
    dataflow: Dataflow,
    golden: Mapping[str, Ints],
    runs: Mapping[str, tuple[Run, Comparison]],
    schedule: Schedule,
    asked: Asked | None,
) -> dict[str, float]:
    """Events in the layers; the weights that are read there for a token, beside one reading of all of them; and the
    share of time in which the adders and multipliers of all Linears work, the head's too.

    The RTL counts the words that Linears driven by events read; a word may have places for outputs that there are not.
    MismatchError where it read others than its events'."""
    fired = events(dataflow, golden, driven=False)
    sizes = {name: (block := dataflow[name]).layers * block.channels_in * block.channels_out for name in fired}
    added = {name: int(counts.sum()) * dataflow[name].channels_out for name, counts in fired.items()}
    for kind, (run, _) in runs.items():
        for name, count in run.counters["weights_added"].items():
            if count != added[name]:
                raise MismatchError(
                    f"the RTL ({kind}) added {count} weights in {name}, its events ask for {added[name]}"
                )
    flowing, tokens = runs["flowing"][0], len(golden["tokens"])
    reads = {name: size * tokens for name, size in sizes.items()} | flowing.counters["weight_reads"]
    multipliers = plan_of(dataflow).multipliers
    users = 1  # adders that a weight goes to
    if dataflow.ring and dataflow.ring.rows and asked is not None:
        users = dataflow.ring.rows.batch
        reads = _rows(dataflow, asked, flowing.counters["memory_beats"])
    work = sum(added[name] if dataflow[name].events else sizes[name] * tokens for name in fired)
    inside = [name for name in fired if name != HEAD]
    dense = sum(sizes[name] for name in inside)
    return {
        "events_share": sum(added[name] for name in inside) / tokens / dense,
        "weight_reads_per_token": sum(reads[name] for name in inside) / tokens,
        "weight_reads_dense": dense,
        "multipliers": multipliers,
        "busy": users * sum(reads.values()) / tokens / multipliers / schedule.cycles_per_token,
        "useful": work / tokens / multipliers / schedule.cycles_per_token,
    }


def _rows(dataflow: Dataflow, asked: Asked, came: int) -> dict[str, int]:
    """Weights read from a memory outside, by Linear; MismatchError where not as many beats ``came`` as the text asks
    for, the embedding's with them."""
    layout, beats = Layout(dataflow), beats_read(dataflow, asked)
    due = sum(beats.values()) + len(asked.tokens) * layout.row_beats
    if came != due:
        raise MismatchError(f"the RTL read {came} beats of its memory, the text asks for {due}")
    return {block.name: beats[block.name] * block.rows.pe for block in layout.members if block.rows}


def _memory(dataflow: Dataflow, runs: Mapping[str, tuple[Run, Comparison]], asked: Asked | None) -> dict[str, Any]:
    """What came from a memory outside, by the RTL's own counters: ``bus_share`` of the cycles; and what that makes of
    boards."""
    if dataflow.ring is None or (found := dataflow.ring.rows) is None or asked is None:
        return {}
    counters = runs["flowing"][0].counters
    beats, tokens, cycles = counters["memory_beats"], counters["tokens"], counters["cycles"]
    moved, image = beats * found.bus / 8 / tokens, Layout(dataflow).size
    return {
        "memory": {
            "bytes_per_token": moved,
            "image_bytes": image,
            "bus_share": beats / cycles,
            "bus_bits": found.bus,
            "batch": found.batch,
            "latency": LATENCY,
            "boards": on_boards(
                cycles / tokens,
                moved,
                found.bus,
                image,
                lambda page: rows_opened(dataflow, asked, page) / tokens,
                any(block.events for block in dataflow.blocks if block.rows),
            ),
        }
    }


def _kind(dataflow: Dataflow, trace: str) -> str:
    name, _, state = trace.partition(".")
    kind = block_of(dataflow, name).kind
    return f"{kind} state" if state else kind


def _run_result(run: Run, found: Comparison) -> dict[str, Any]:
    return {"compared": found.compared, "mismatches": found.mismatches, **run.counters}


def _transfers(run: Run, schedule: Schedule) -> dict[str, int]:
    """Beats whose cycle in the RTL is the simulated one, over all blocks' outputs."""
    found = run.transfers()
    start = run.source_cycles()[0]
    equal = compared = 0
    for block in run.dataflow.blocks:
        simulated = schedule.times[block.outputs[0]] - schedule.first
        equal += int((found[block.name].ravel() - start == simulated).sum())
        compared += simulated.size
    return {"compared": compared, "equal": equal}


def _block_cycles(schedule: Schedule, name: str) -> dict[str, float]:
    block = schedule.block(name)
    return {"interval": block.interval, "latency": block.latency, "stalls": sum(block.input_stalls.values())}


def _energy(dataflow: Dataflow, golden: Mapping[str, Ints]) -> float:
    from spikegpt_hls.sim.energy.model import energy

    return energy(dataflow, golden).joules_per_token


def _provenance() -> dict[str, str]:
    rtl = "RTL in simulation (Verilator), this run"
    return {
        "compared": f"measured: {rtl}",
        "cycles_per_token_rtl": f"measured: counters of the {rtl}",
        "events_share": "measured: inputs of matrices in this run's integers that are not 0",
        "weight_reads_per_token": f"measured: counters of the {rtl}; of a Linear that adds zeros, too, its size",
        "busy": "derived: weights read, over multipliers x cycles per token in the steady state",
        "useful": "derived: as busy, without the places of a word that no output has",
        "cycles_per_token_simulated": "derived: cycle simulator of the same dataflow",
        "memory": f"measured: counters of the {rtl}; boards: derived, at the clock and the share of their "
        "memory's peak that sim/served.json has sources for, and its data sheet's currents",
        "energy_per_token_j": "derived: actions counted in this run's integers, times the table in sim/energy_table",
    }
