"""``docs/tour.ipynb``: runs from its first cell to its last, and is kept without what a run leaves in it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tour.ipynb"


def test_holds_nothing_of_a_run() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.metadata
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}


def test_its_links_lead_to_pages() -> None:
    for target in re.findall(r"\]\(([\w.]+)\)", NOTEBOOK.read_text()):
        assert NOTEBOOK.with_name(target).exists(), target


@pytest.mark.slow
def test_runs_from_text_to_waveform(tmp_path: Path) -> None:
    """Its own comparisons are assertions; here what they say, and a picture of each kind."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    assert len(re.findall(r"^0 of [1-9]\d+ values differ", said, re.MULTILINE)) == 2, said
    assert re.search(r"^[1-9]\d* spikes in 128 beats of the waveform$", said, re.MULTILINE), said
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert (tmp_path / "build" / "tour" / "waves" / "run" / "waves.vcd").exists()
