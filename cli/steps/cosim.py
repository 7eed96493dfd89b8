"""The RTL of the whole model against PyTorch: without stalls and with, then cycles and energy; or one prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from spikegpt_hls.cli.errors import MismatchError
from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.step import write_json
from spikegpt_hls.cli.steps import generate, hls, report, train
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests.simulator import require_tools
from spikegpt_hls.rtl_tests.top.cosim import Comparison, Model, Run, compare
from spikegpt_hls.sim.cycles.schedule import Schedule, simulate

#: The blocks that the table names one by one; the others are one line together.
SHOWN = ("LIF", "WKV", "LayerNorm")
STALL_SEED = 20231
WAVE_TOKENS = 4


def make(request: Request) -> None:
    """``cosim.json``, the table, and the report; MismatchError (exit code 1) where a value is not PyTorch's."""
    if request.options.get("rtl") == "vitis":
        from spikegpt_hls.cli.steps import cosim_vitis

        return cosim_vitis.make(request)
    require_tools()
    if request.options.get("prompt"):
        return _prompt(request)
    hls.make(request)
    workspace = request.workspace
    inputs = (workspace.rtl, workspace.vectors)
    step = request.step(f"cosim-{workspace.target}", inputs, (workspace.cosim,), {})
    if not step.up_to_date:
        write_json(workspace.cosim, _verify(request))
        step.done()
    result = json.loads(workspace.cosim.read_text())
    if request.options.get("waves"):
        _waves(request)
    page = report.write(request, result)
    show(request, result, page)
    return None


def _model(request: Request) -> Model:
    return _built(request, Model(request.workspace.rtl, request.workspace.work))


def _built(request: Request, model: Model) -> Model:
    with request.console.status("cosim: building the RTL simulation with Verilator"):
        model.build()
    return model


def _golden(path: Path) -> dict[str, Ints]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _waves(request: Request) -> None:
    """A waveform of the first tokens, from a build of its own: tracing makes every cycle slow and large."""
    workspace = request.workspace
    model = Model(workspace.rtl, workspace.work / "waves", waves=True)
    with request.console.status(f"cosim: a waveform of {WAVE_TOKENS} tokens"):
        model.build(optimise=False)
        run = model.run("run", [_golden(workspace.vectors)["tokens"][:WAVE_TOKENS]])
    request.say(f"waveform of the first {WAVE_TOKENS} tokens: {run.folder / 'waves.vcd'}")


def _verify(request: Request) -> dict[str, Any]:
    model = _model(request)
    golden = _repeated(_golden(request.workspace.vectors), model.dataflow.contexts)
    sequences = np.split(golden["tokens"], np.cumsum(golden["lengths"])[:-1])
    runs: dict[str, tuple[Run, Comparison]] = {}
    for name, stall in (("flowing", 0), ("stalled", STALL_SEED)):
        with request.console.status(f"cosim: {len(golden['tokens'])} tokens through the RTL, {name}"):
            run = model.run(name, sequences, stall)
            comparison = compare(run, golden)
        runs[name] = run, comparison
        if comparison.first is not None:
            raise MismatchError(f"the RTL ({name}) is not PyTorch's model: {comparison.first}")
    schedule = simulate(model.dataflow, len(golden["tokens"]))
    result = _result(model.dataflow, golden, runs, schedule)
    if result["transfers"]["equal"] != result["transfers"]["compared"]:
        raise MismatchError(
            "the cycle simulator is not exact: {equal} of {compared} beats".format(**result["transfers"])
        )
    return result


def _repeated(golden: Mapping[str, Ints], contexts: int) -> dict[str, Ints]:
    """The vectors with their shortest sequence once more for every context that would have none."""
    lengths = golden["lengths"]
    taken = np.append(np.arange(len(lengths)), np.repeat(np.argmin(lengths), max(0, contexts - len(lengths))))
    ends = np.cumsum(lengths)
    tokens = np.concatenate([np.arange(ends[i] - lengths[i], ends[i]) for i in taken])
    by_sequence = {name for name in golden if name == "lengths" or "." in name}
    return {name: value[taken if name in by_sequence else tokens] for name, value in golden.items()}


def _result(
    dataflow: Dataflow, golden: Mapping[str, Ints], runs: Mapping[str, tuple[Run, Comparison]], schedule: Schedule
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
        "provenance": _provenance(),
    }


def _kind(dataflow: Dataflow, trace: str) -> str:
    name, _, state = trace.partition(".")
    return f"{dataflow[name].kind} state" if state else dataflow[name].kind


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
        "cycles_per_token_simulated": "derived: cycle simulator of the same dataflow",
        "energy_per_token_j": "derived: actions counted in this run's integers, times the table in sim/energy_table",
    }


def show(request: Request, result: Mapping[str, Any], page: Path) -> None:
    """The table that ``make cosim`` ends with."""
    table = Table("trace", "kind", "values compared", "mismatches")
    others = [0, 0]
    for name, trace in result["traces"].items():
        if trace["kind"].removesuffix(" state") in SHOWN or name == "head":
            kind = "logits" if name == "head" else trace["kind"]
            table.add_row(name, kind, f"{trace['compared']:,}", str(trace["mismatches"]))
        else:
            others = [others[0] + trace["compared"], others[1] + trace["mismatches"]]
    table.add_row("all other blocks", "", f"{others[0]:,}", str(others[1]))
    request.console.print(table)
    runs = ", ".join(f"{name} {run['mismatches']} of {run['compared']:,}" for name, run in result["runs"].items())
    several = f", {result['contexts']} of them interleaved at a time" if result["contexts"] > 1 else ""
    request.say(f"{result['tokens']} tokens in {result['sequences']} sequences{several}; mismatches: {runs}")
    request.say(
        f"cycles per token: {result['cycles_per_token_rtl']:.2f} by RTL (measured), "
        f"{result['cycles_per_token_simulated']:.2f} by simulation (derived); "
        f"{result['cycles_per_token_steady']:.2f} in steady state"
    )
    energy = result["energy_per_token_j"]
    request.say(f"energy per token: {energy * 1e9:.3f} nJ (derived, 45 nm, dynamic; see the report)")
    request.say(f"report: {page}")


def _prompt(request: Request) -> None:
    """Generate in the RTL, each token from its own logits, and compare with the integer model: a text per context, all
    from the same prompt, the sampler's seed one higher for each."""
    unseeded = Request(request.workspace, {**request.options, "seed": None, "tokens": None}, request.console)
    train.make(unseeded)
    hls.make(unseeded)
    count = request.options.get("tokens") or 32
    model = Model(request.workspace.rtl, request.workspace.work)
    first = generate.sampler_settings(request)
    samplers = [{**first, "seed": first["seed"] + context} for context in range(model.dataflow.contexts)]
    seeded = [Request(request.workspace, {**request.options, "seed": s["seed"]}, request.console) for s in samplers]
    expected = [generate.tokens(text, generate.prompt_bytes(request), count) for text in seeded]
    used, prompt, _ = expected[0]
    _built(request, model)
    with request.console.status(f"cosim: {count} tokens in each of {len(samplers)} contexts, generated by the RTL"):
        texts = model.generate_all("generate", prompt, count, samplers)
    for context, (got, (_, _, ids)) in enumerate(zip(texts, expected, strict=True)):
        for position, (rtl, integer) in enumerate(zip(got, ids, strict=True)):
            if rtl != integer:
                place = f"token {position} of the continuation" + (f" in context {context}" if len(texts) > 1 else "")
                raise MismatchError(f"{place} is {rtl} in the RTL, {integer} in the model")
        if len(texts) > 1:
            request.say(f"--- context {context}, seed {samplers[context]['seed']}")
        request.say(used.decode([*prompt, *got]))
    request.say(f"{count * len(texts)} tokens generated by the RTL are the integer model's, one by one")
