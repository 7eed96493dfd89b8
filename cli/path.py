"""The path as a graph: every step with what it reads, what it may be told, and what it writes."""

from __future__ import annotations

from dataclasses import replace

from spikegpt_hls.cli.graph.settings import Nothing
from spikegpt_hls.cli.graph.step import Step
from spikegpt_hls.cli.steps import accountings, cosim, export, folding, hls, nlu, report, size, train
from spikegpt_hls.cli.workspace import (
    ACCOUNTINGS,
    CHECKPOINT,
    COSIM,
    FIGURES,
    METRICS,
    ONNX,
    ONNX_STEP,
    PAGE,
    RESOURCES,
    RTL,
    SENTENCES,
    TOKENIZER,
    VECTORS,
    Workspace,
)  # fmt: skip

TRAIN = Step(
    "train-qat", "text to a quantized checkpoint", train.run, train.Training,
    writes=(CHECKPOINT, METRICS, TOKENIZER), outside=train.digests, check=train.check,
    owned=CHECKPOINT, resumes="training", restore=train.restore,
)  # fmt: skip
EXPORT = Step(
    "export", "checkpoint to QONNX and golden vectors", export.run, export.Vectors,
    needs=(TRAIN,), reads=(CHECKPOINT, TOKENIZER), writes=(ONNX, ONNX_STEP, VECTORS), sources=("quant",),
)  # fmt: skip
HLS = Step(
    "hls-{target}", "QONNX to RTL, and what the target makes of it", hls.run, folding.Folding,
    needs=(EXPORT,), reads=(ONNX,), writes=hls.outputs, sources=("hls", "quant/ops", "cli/targets"),
    outside=folding.digests,
)  # fmt: skip
VERIFY = Step(
    "cosim-{target}", "RTL against PyTorch: values, cycles, energy", cosim.run, Nothing,
    needs=(HLS,), reads=(RTL, VECTORS), writes=(COSIM,), check=cosim.check,
    sources=("rtl_tests/top", "rtl_tests/simulator.py", "sim/cycles", "sim/energy", "sim/traces.py", "quant/ops"),
)  # fmt: skip
REPORT = Step(
    "report-{target}", "the page and its figures", report.run, report.Parts,
    needs=(VERIFY,), reads=(COSIM, METRICS, VECTORS, RTL, RESOURCES, ACCOUNTINGS), writes=(PAGE, FIGURES),
    sources=("sim",), check=report.check,
)  # fmt: skip
STEPS = (TRAIN, EXPORT, HLS, VERIFY, REPORT)

#: Beside the path, in workspaces of their own or after its steps.
ACCOUNT = Step(
    "accountings", "what a character costs, beside the twin without neurons", accountings.run, accountings.Accounting,
    needs=(HLS,), reads=(CHECKPOINT, f"{RTL}/dataflow.json"), writes=(ACCOUNTINGS,), sources=("sim",),
    outside=accountings.digests,
)  # fmt: skip
SIZE = Step(
    "size", "a size with random weights, against named parts", size.run, size.Sizing,
    writes=size.WRITES, sources=("hls", "quant/ops", "sim"), outside=size.digests,
)  # fmt: skip
CLASSIFY = Step(
    "nlu", "labelled sentences to a quantized classifier", nlu.run, nlu.Classifying,
    writes=(CHECKPOINT, METRICS), outside=nlu.digests, check=nlu.check, owned=CHECKPOINT, resumes="training",
)  # fmt: skip

#: A task's own path.
EXPORT_TASK = Step(
    "export", "classifier to QONNX, and test sentences with their golden vectors", nlu.export, nlu.Sentences,
    needs=(CLASSIFY,), reads=(CHECKPOINT,), writes=(ONNX, VECTORS, SENTENCES, TOKENIZER), sources=("quant",),
)  # fmt: skip
HLS_TASK = replace(HLS, needs=(EXPORT_TASK,))
VERIFY_TASK = replace(
    VERIFY, about="RTL against PyTorch: values, classes, cycles, energy", run=nlu.verify, needs=(HLS_TASK,),
    reads=(RTL, VECTORS, SENTENCES), sources=(*VERIFY.sources, "rtl_tests/ip", "hls/ip", "hls/driver"),
)  # fmt: skip


def hls_of(place: Workspace) -> Step:
    """The step to hardware, of a preset or of a task."""
    return HLS_TASK if place.task else HLS
