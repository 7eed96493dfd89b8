"""Labelled sentences to a quantized classifier, and to hardware that is verified on sentences of the test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.console import Console

from spikegpt_hls.cli.errors import MismatchError
from spikegpt_hls.cli.graph import record
from spikegpt_hls.cli.graph.settings import Nothing, Settings, setting
from spikegpt_hls.cli.steps import cosim
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import SENTENCES, Workspace
from spikegpt_hls.quant.format import Ints

if TYPE_CHECKING:
    from spikegpt_hls.model.corpus.tokenizer import Tokenizer


@dataclass(frozen=True)
class Classifying(Settings):
    """What a classifier is trained on, and from what."""

    data: str | None = setting(None, "The folder with the task's files.", example="nlu", otherwise="to be named")
    fold: int = setting(0, "Which tenth of mr and subj is the test.", click.IntRange(0, 9), 3)
    steps: int | None = setting(None, "Training steps in all.", click.INT, 2000, "the task's own")
    seed: int = setting(0, "Seed of training.", click.IntRange(0), 1)
    weight_bits: str = setting("8", "Bits of weights: 8, 4 or 2 (ternary) for all layers, or by layer.", example="4")
    init: str | None = setting(
        None, "A checkpoint to start from, its tokenizer beside it.", example="lm.safetensors", otherwise="from scratch"
    )


@dataclass(frozen=True)
class Sentences(Settings):
    """What a classifier's hardware is verified on."""

    data: str | None = setting(
        None, "The folder with the task's files.", example="nlu", otherwise="the one it was trained on"
    )
    sentences: int = setting(
        128, "Sentences of the test, the first ones, in which every value is compared.", click.IntRange(1), 100
    )
    answers: int | None = setting(
        None, "Sentences of the test, the first ones, whose classes are.", click.IntRange(1), 1821, "as many"
    )

    @property
    def asked(self) -> int:
        """How many the hardware classifies."""
        return max(self.sentences, self.answers or 0)


def digests(place: Workspace, settings: Classifying, named: Mapping[str, Any]) -> dict[str, str]:
    """What the result follows from."""
    from spikegpt_hls.model.classify import nlu

    found = {"init": record.of_file(Path(settings.init))} if settings.init else {}
    if settings.data is not None:
        found |= {path.name: record.of_file(path) for path in nlu.paths(place.task, settings.data)}
    return found


def check(place: Workspace, settings: Classifying) -> None:
    """ModelError for data that cannot be used, before PyTorch is loaded."""
    from spikegpt_hls.model.classify import nlu
    from spikegpt_hls.model.errors import ModelError

    task = place.task
    if settings.data is None:
        raise ModelError(f"data= is needed: the folder that holds {', '.join(nlu.task(task).files)}")
    nlu.load(task, settings.data, settings.fold)
    if settings.init and not Path(settings.init).is_file():
        raise ModelError(f"no checkpoint at {settings.init}")


def run(place: Workspace, settings: Classifying, console: Console) -> None:
    """``checkpoint.safetensors`` and ``metrics.json`` of the classifier."""
    from spikegpt_hls.quant.training.train_nlu import train_nlu

    train_nlu(place.folder, place.task, console=console, **settings.as_json())


def export(place: Workspace, settings: Sentences, console: Console) -> None:
    """``model.onnx``, ``tokenizer.json``, ``vectors.npz`` of the first test sentences; ``sentences.json`` with ids,
    labels and the classes that PyTorch's integer model gives, of these and of all others that are to be answered."""
    from spikegpt_hls.model.classify.classification import predictions
    from spikegpt_hls.model.corpus import tokenizer
    from spikegpt_hls.quant.export import vectors
    from spikegpt_hls.quant.export.qonnx import export_sequence
    from spikegpt_hls.quant.ops.class_sum import ClassSum
    from spikegpt_hls.quant.storage import load_network

    network, header = load_network(place.checkpoint)
    used = tokenizer.beside(place.checkpoint, header)
    labels, sentences = _sentences(place, settings, header, used)
    total = ClassSum(vectors.formats_of(network)[cosim.HEAD])
    total.check([len(ids) for ids in sentences])
    with console.status("export: QONNX and golden vectors"):
        export_sequence(network, place.folder)
        golden = vectors.trace(network, sentences[: settings.sentences])
        classes = predictions(network, sentences, "export: PyTorch's classes", console)
    summed = total.classes(golden[cosim.HEAD], golden["lengths"])
    _same("the sums of PyTorch's logits", summed, classes[: len(summed)])
    vectors.write(golden, place.folder)
    tokenizer.save(used, place.folder)
    ids = [sentence.tolist() for sentence in sentences]
    record.write_json(place.path(SENTENCES), {"ids": ids, "labels": labels, "classes": classes.tolist()})
    say(console, f"export: {place.onnx}, and vectors of {len(summed)} test sentences, {len(golden['tokens'])} tokens")


def _sentences(
    place: Workspace, settings: Sentences, header: Mapping[str, Any], tokenizer: Tokenizer
) -> tuple[list[int], list[Ints]]:
    """Labels and token ids of the first test sentences; ModelError where they are not what the checkpoint is for."""
    from spikegpt_hls.model.classify import nlu
    from spikegpt_hls.model.errors import ModelError

    task, name = place.task, place.checkpoint
    if header.get("task") != task:
        made = f"of the task {header['task']}" if "task" in header else "of no task: nlu trains classifiers"
        raise ModelError(f"{name} is {made}, not of {task}")
    corpus = nlu.load(task, settings.data or _trained_on(place), header["fold"])
    if corpus.sha256 != header["data_sha256"]:
        raise ModelError(f"the sentences of {task} are others than those that {name} was trained on: train again")
    if settings.asked > len(corpus.test):
        raise ModelError(f"{task} has {len(corpus.test)} test sentences, not {settings.asked}")
    test = corpus.test.take(list(range(settings.asked)))
    return list(test.labels), nlu.encoded(test, tokenizer)


def _trained_on(place: Workspace) -> str:
    from spikegpt_hls.model.errors import ModelError

    try:
        return str(json.loads(place.metrics.read_text())["data"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"data= is needed: {place.checkpoint} does not say where its sentences lie") from error


def verify(place: Workspace, settings: Nothing, console: Console) -> None:
    """``cosim.json``: the model's RTL as in ``cosim``, then the whole IP by its driver, sentence by sentence;
    MismatchError (exit code 1) where a value or a class is not PyTorch's."""
    from spikegpt_hls.rtl_tests.ip.classifier import Classifier

    result = cosim.verified(place, console)
    told = json.loads(place.path(SENTENCES).read_text())
    device = Classifier(place.rtl, place.work / "classifier")
    with console.status("cosim: building the simulation of the IP with Verilator"):
        device.build()
    with console.status(f"cosim: {len(told['labels'])} sentences to the IP, classes back"):
        answers = device.classify("answers", [np.array(ids) for ids in told["ids"]])
    classes, labels = np.array(told["classes"]), np.array(told["labels"])
    _same("the RTL", answers.classes, classes)
    record.write_json(place.cosim, {
        **result,
        "task": place.task,
        "classes": {"compared": len(classes), "mismatches": 0},
        "accuracy_integer": 100 * float(np.mean(classes == labels)),
        "accuracy_rtl": 100 * float(np.mean(answers.classes == labels)),
        "answers": answers.classes.tolist(),
        "cycles_per_sentence": result["cycles_rtl"] / result["sequences"],
        "cycles_of_a_sentence_alone": float(answers.cycles.mean()),
    })  # fmt: skip


def _same(what: str, got: Ints, classes: Ints) -> None:
    if wrong := np.flatnonzero(got != classes).tolist():
        first = wrong[0]
        raise MismatchError(
            f"{what} says class {got[first]} of test sentence {first}, PyTorch {classes[first]}; {len(wrong)} of "
            f"{len(classes)} differ"
        )
