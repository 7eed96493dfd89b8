"""``docs/adding_an_operation.md`` does what it says, in a copy of the tree, and it holds of every operation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

import copied_tree
from spikegpt_hls.quant.ops import NAMES

PAGE = copied_tree.ROOT / "docs" / "adding_an_operation.md"
ROOMS = ("quant/ops/{}.py", "hls/vitis/{}.h", "hls/rtl/{}.sv", "rtl_tests/blocks/test_{}.py")
MOST_FILES = 9


class Snippet(NamedTuple):
    """A fenced block of the page: a whole file, or of one that is there some lines and what they become."""

    language: str
    file: str
    text: str

    def apply(self, root: Path) -> None:
        path = root / self.file
        if self.language != "diff":
            assert not path.exists(), f"{self.file} is there already"
            path.write_text(self.text)
            return
        before, after = (
            "\n".join(line[1:] for line in self.text.splitlines() if line[0] in kept) for kept in (" -", " +")
        )
        text = path.read_text()
        assert text.count(before) == 1, f"{self.file} has {text.count(before)} times:\n{before}"
        path.write_text(text.replace(before, after))


def snippets() -> list[Snippet]:
    fence = re.compile(r"^```(\w+)\n(?:#|//) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [Snippet(*found.groups()) for found in fence.finditer(PAGE.read_text())]


def edited() -> list[str]:
    return [file for file in dict.fromkeys(snippet.file for snippet in snippets()) if file != "try_it.py"]


def test_the_page_lists_the_files_that_it_edits_and_they_are_few() -> None:
    listed = re.findall(r"^\| \d \| [^|]* \| `([^`]+)`", PAGE.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(edited())
    assert len(listed) <= MOST_FILES


@pytest.mark.parametrize("kind", NAMES)
def test_an_operation_has_its_file_in_every_room(kind: str) -> None:
    assert [room for room in ROOMS if not (copied_tree.ROOT / room.format(NAMES[kind])).is_file()] == []


def applied(folder: Path) -> Path:
    copied = copied_tree.copy(folder)
    for snippet in snippets():
        snippet.apply(copied)
    return copied


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return applied(tmp_path_factory.mktemp("added"))


def run(root: Path, *arguments: str) -> str:
    done = copied_tree.run(root, arguments)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def test_the_operation_is_the_same_in_every_implementation(added: Path) -> None:
    assert run(added, "try_it.py").endswith("400 values: PyTorch = QONNX = C simulation = RTL\n")


def test_its_bench_and_what_finds_it_by_itself_pass(added: Path) -> None:
    tests = (
        "rtl_tests/blocks/test_clipped_relu.py::test_every_input_value[8-2-x0-96-out0]",
        "tests/test_quant_ops.py::test_numpy_torch_and_qonnx_agree_at_the_corners_of_the_schema[ClippedReLU]",
        "tests/test_energy.py::test_every_operation_has_actions[ClippedReLU]",
        "tests/test_schema.py::test_the_docs_say_what_an_attribute_may_be",
        "tests/test_imports.py::test_folders_are_small",
    )
    assert "5 passed" in run(added, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests)


#: An embedding and the operation, converted by each backend.
REFUSED = """
from onnx import TensorProto, helper, numpy_helper
import numpy as np
from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.handlers import make_node
from spikegpt_hls.quant.ops import BIT, BinaryEmbedding, ClippedReLU

emb, relu = BinaryEmbedding(BIT, 4, 4), ClippedReLU(BIT, 4, BIT, 1)
nodes = [make_node(emb, ["ids", "table"], "bits", "emb"), make_node(relu, ["bits"], "y", "relu")]
ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 5])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
table = numpy_helper.from_array(np.ones((4, 4), np.float32), "table")
for backend in ("Vitis", "SpikeRTL"):
    try:
        convert(helper.make_model(helper.make_graph(nodes, "g", [ids], [y], [table])), "out", backend, lanes=1)
    except ConversionError as error:
        print(error)
"""


def test_a_backend_that_lacks_its_file_says_so(tmp_path: Path) -> None:
    root = applied(tmp_path)
    for file in ("hls/vitis/clipped_relu.h", "hls/rtl/clipped_relu.sv"):
        (root / file).unlink()
    assert run(root, "-c", REFUSED).splitlines() == [
        f"node 'relu' (ClippedReLU) has no implementation in {backend}" for backend in ("Vitis", "SpikeRTL")
    ]
