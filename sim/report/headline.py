"""The figures at the top of the page."""

from __future__ import annotations

from spikegpt_hls.sim.figure import Figure
from spikegpt_hls.sim.report.results import Results


def headline(results: Results) -> dict[str, Figure]:
    """The figures of the page's top, by name."""
    metrics, schedule, energy, cosim = results.metrics, results.schedule, results.energy, results.cosim
    figures: dict[str, Figure] = {}

    def add(name: str, label: str, value: float | int, unit: str, provenance: str, source: str, goal: str) -> None:
        figures[name] = Figure(label, value, unit, provenance, source, results.command(goal))

    validation = f"validation split of {metrics.get('data', 'the text')}"
    for kind in ("integer", "float"):
        label = f"validation loss, {kind} model"
        add(
            f"val_bits_{kind}",
            label,
            metrics[f"val_bits_{kind}"],
            "bits/byte",
            "measured",
            validation,
            "train-qat",
        )
    add("parameters", "parameters", metrics["parameters"], "", "measured", "the checkpoint", "train-qat")
    if cosim:
        runs = f"RTL in Verilator, {cosim['tokens']} tokens in {cosim['sequences']} sequences"
        add("compared", "values compared, RTL = PyTorch", cosim["compared"], "", "measured", runs, "cosim")
        add("mismatches", "mismatches", cosim["mismatches"], "", "measured", runs, "cosim")
        rtl = cosim["cycles_per_token_rtl"]
        add(
            "cycles_per_token_rtl",
            "cycles per token, RTL",
            rtl,
            "cycles",
            "measured",
            f"counters of the {runs}",
            "cosim",
        )
        if "transfers" in cosim:
            beats = cosim["transfers"]
            label = f"beats of {beats['compared']:,} whose RTL cycle the simulator foretold"
            add(
                "transfers_equal", label, beats["equal"], "", "measured", f"cycle simulator against the {runs}", "cosim"
            )
    simulator = f"cycle simulator, {schedule.tokens} tokens"
    per_token = schedule.cycles / schedule.tokens
    add(
        "cycles_per_token_simulated", "cycles per token, simulated", per_token, "cycles", "derived", simulator, "report"
    )
    steady = schedule.cycles_per_token
    add("cycles_per_token_steady", "cycles per token, steady state", steady, "cycles", "derived", simulator, "report")
    add("latency", "first id to its last logit", schedule.latency, "cycles", "derived", simulator, "report")
    counted = f"actions counted over {energy.tokens} tokens x {energy.table.source} ({energy.table.node})"
    for part in ("total", "compute", "memory"):
        value = getattr(energy, f"{part}_pj") / 1e3
        label = "energy per token" if part == "total" else f"of it {part}"
        add(f"energy_{part}", label, value, "nJ", "derived", counted, "report")
    zeros = f"zeros in the traces of {energy.tokens} tokens; this hardware computes them all the same"
    add("macs", "multiply-accumulates per token", int(energy.macs), "", "derived", "the graph", "report")
    share = 100 * energy.skippable_macs / energy.macs if energy.macs else 0.0
    add("skippable_macs", "of the multiplications with a zero input", share, "%", "measured", zeros, "report")
    return figures
