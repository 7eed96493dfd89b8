"""A classifier as an IP: the driver's sentences come back as the classes of PyTorch's integer model, whoever stalls."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spikegpt_hls.hls.boards import ulx3s
from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.ip import writer
from spikegpt_hls.model.classify.classification import predictions
from spikegpt_hls.quant.export.qonnx import export_sequence
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.classifier import Classifier
from spikegpt_hls.rtl_tests.lint import lint
from spikegpt_hls.rtl_tests.marks import slow

VOCABULARY, CLASSES = 30, 5  # which two and four lanes do not divide


def prepare(folder: Path, lanes: int, contexts: int) -> tuple[Classifier, list[np.ndarray], np.ndarray]:
    """The RTL of a small random classifier, sentences, and PyTorch's classes."""
    network = random_network(1, 8, seed=3, vocabulary=VOCABULARY, classes=CLASSES)
    rng = np.random.default_rng(1)
    sentences = [rng.integers(0, VOCABULARY, length) for length in (1, 1, *rng.integers(1, 12, 22))]
    export_sequence(network, folder)
    graph = convert(folder / "model.onnx", folder / "hls", "SpikeRTL", lanes=lanes, contexts=contexts, target_cycles=16)
    graph.write()
    return Classifier(folder / "hls" / "rtl", folder / "work"), sentences, predictions(network, sentences)


@pytest.mark.parametrize(("lanes", "contexts"), [(2, 1), slow(4, 3)])
def test_classes_are_those_of_pytorch(lanes: int, contexts: int, tmp_path: Path) -> None:
    device, sentences, classes = prepare(BUILD.resolve() / f"classifier_{lanes}_{contexts}", lanes, contexts)
    device.build(level=0)
    assert lint(writer.TOP, list(map(str, device.files()))) == ""
    assert len({*classes}) > 2
    for stall in (0, 0.4):
        answers = device.classify(f"stall{stall}", sentences, stall)
        assert answers.classes.tolist() == classes.tolist()
        assert len(answers.cycles) == len(sentences)
    # the negative control: one bit of every weight of the head, in images that the same simulation reads
    flipped = Path(shutil.copytree(device.rtl, tmp_path / "flipped"))
    image = flipped / "images" / "head_weight.hex"
    image.write_text("".join(f"{int(word, 16) ^ 1 << 6:0{len(word)}x}\n" for word in image.read_text().split()))
    device.rtl = flipped
    assert device.classify("flipped", sentences).classes.tolist() != classes.tolist()


def test_a_board_that_continues_text_refuses_it(tmp_path: Path) -> None:
    device, *_ = prepare(tmp_path, 2, 1)
    with pytest.raises(ConversionError, match="no use for a classifier"):
        ulx3s.write(device.dataflow, tmp_path)
