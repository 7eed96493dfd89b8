"""The comparison of a design with its mutants."""

from pathlib import Path

import pytest

from spikegpt_hls.rtl_tests.mutants import miter, mutate
from spikegpt_hls.rtl_tests.proofs.formal import search

# Mutant 1 is a register that nobody reads, mutant 2 a wrong output, mutant 3 one in a state that is never reached.
DESIGN = """
module mutants (input clk, rst, x, input [1:0] mutsel, output m_axis_tvalid);
  reg unread, q;
  reg [1:0] state;
  always @(posedge clk) begin
    unread <= x ^ (mutsel == 1);
    q <= x ^ (mutsel == 2);
    state <= rst || state == 2 ? 0 : state + 1;
  end
  assign m_axis_tvalid = q || mutsel == 3 && state == 3;
endmodule
"""


@pytest.fixture
def design(tmp_path: Path) -> miter.Design:
    (tmp_path / "mutants.v").write_text(DESIGN)
    return mutate.gates(tmp_path)


def test_a_register_that_nobody_reads_needs_no_search(design: miter.Design) -> None:
    assert miter.miter(design, 1) is None


def test_what_an_output_shows_is_found(design: miter.Design, tmp_path: Path) -> None:
    model = miter.miter(design, 2)
    assert model is not None
    assert model.shows()
    (tmp_path / "proof.aig").write_bytes(model.aiger())
    assert search(tmp_path, "bmc3,-F,5").broken
    assert mutate.compare(design, 2, tmp_path) == "missed"


def test_what_no_state_reaches_is_equivalent(design: miter.Design, tmp_path: Path) -> None:
    model = miter.miter(design, 3)
    assert model is not None
    assert not model.shows()
    (tmp_path / "proof.aig").write_bytes(miter.step(design, 3).aiger())
    assert search(tmp_path, "dprove").proved
    assert mutate.compare(design, 3, tmp_path) == "equivalent"
