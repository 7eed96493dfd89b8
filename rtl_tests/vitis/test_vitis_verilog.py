"""The path of the Verilog that Vitis HLS writes, tried with our own RTL under Vitis's port names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spikegpt_hls.cli.main import run
from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.hls.vitis.ports import Layout, logits_layout, token_layout
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.simulator import ToolError
from spikegpt_hls.rtl_tests.vitis.verilog import simulate, verilog_of

TOP, INNER = "spikegpt", "spikegpt_rtl"
LENGTHS = (3, 1, 6)


def wrapper(flow: Dataflow) -> Iterator[str]:
    """Vitis's top, as UG1399 describes its ports, around our RTL."""
    ids, beat = token_layout(flow), logits_layout(flow)
    head = flow.driver[flow.sink]
    bits = head.format_out.bits
    yield f"module {TOP} ("
    yield "    input ap_clk, input ap_rst_n, input ap_start, output ap_done, output ap_ready, output ap_idle,"
    yield f"    input [{ids.width - 1}:0] tokens_TDATA,"
    yield "    input tokens_TVALID, output tokens_TREADY,"
    yield f"    output [{beat.width - 1}:0] logits_TDATA,"
    yield "    output logits_TVALID, input logits_TREADY);"
    yield "  assign ap_done = 1'b0; assign ap_ready = 1'b0; assign ap_idle = 1'b0;"
    yield f"  wire [{head.lanes * bits - 1}:0] logits; wire first, ready, unused_last;"
    yield "  assign tokens_TREADY = ap_start && ready;"
    for lane, offset in enumerate(beat.offsets[:-1]):
        yield f"  assign logits_TDATA[{offset} +: {bits}] = logits[{lane * bits} +: {bits}];"
    yield f"  assign logits_TDATA[{beat.offsets[-1]}] = first;"
    yield f"  {INNER} inner (.clk(ap_clk), .rst(!ap_rst_n),"
    yield f"      .s_axis_tdata(tokens_TDATA[{ids.bits[0] - 1}:0]), .s_axis_tuser(tokens_TDATA[{ids.offsets[1]}]),"
    yield "      .s_axis_tvalid(tokens_TVALID && ap_start), .s_axis_tready(ready), .s_axis_tlast(1'b1),"
    yield "      .s_axis_tid(1'b0), .m_axis_tid(),"
    yield "      .m_axis_tdata(logits), .m_axis_tvalid(logits_TVALID), .m_axis_tready(logits_TREADY),"
    yield "      .m_axis_tuser(first), .m_axis_tlast(unused_last));"
    yield "endmodule"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataflow, list[Ints], Ints]:
    """A project whose Verilog folder holds our RTL under Vitis's names; sequences, and PyTorch's logits."""
    folder = tmp_path_factory.mktemp("vitis")
    network = random_network(1, 8, seed=5, weight_bits=4, vocabulary=16)
    rng = np.random.default_rng(5)
    sequences = [rng.integers(0, 16, length) for length in LENGTHS]
    export(network, folder)
    graph = convert(folder / "model.onnx", folder / "rtl", backend="SpikeRTL", lanes=2)
    graph.write()
    verilog = folder / "vitis" / f"{TOP}_prj" / "solution1" / "syn" / "verilog"
    verilog.parent.mkdir(parents=True)
    (folder / "rtl" / "rtl").rename(verilog)
    (verilog / "testbench.sv").unlink()
    own = (verilog / f"{TOP}.sv").read_text().replace(f"module {TOP} (", f"module {INNER} (")
    (verilog / f"{TOP}.sv").unlink()
    (verilog / f"{INNER}.sv").write_text(own)
    flow = dataflow(graph)
    (verilog / f"{TOP}.v").write_text("\n".join(wrapper(flow)) + "\n")
    return folder, flow, sequences, trace(network, sequences)["head"]


@pytest.mark.parametrize("stall", [0, 7])
def test_logits_are_pytorchs(project: tuple[Path, Dataflow, list[Ints], Ints], stall: int) -> None:
    folder, flow, sequences, want = project
    got, cycles = simulate(verilog_of(folder / "vitis", TOP), TOP, flow, folder / "work", sequences, stall)
    assert np.array_equal(got, want)
    assert cycles > len(want)


def test_a_changed_token_is_noticed(project: tuple[Path, Dataflow, list[Ints], Ints]) -> None:
    """The bench can fail."""
    folder, flow, sequences, want = project
    changed = [sequences[0] ^ 1, *sequences[1:]]
    got, _ = simulate(verilog_of(folder / "vitis", TOP), TOP, flow, folder / "work", changed)
    assert not np.array_equal(got[: LENGTHS[0]], want[: LENGTHS[0]])
    assert np.array_equal(got[LENGTHS[0] :], want[LENGTHS[0] :])


def test_a_top_of_another_model_is_named(project: tuple[Path, Dataflow, list[Ints], Ints], tmp_path: Path) -> None:
    folder, flow, sequences, _ = project
    text = (verilog_of(folder / "vitis", TOP) / f"{TOP}.v").read_text()
    (tmp_path / f"{TOP}.v").write_text(text.replace(f"[{token_layout(flow).width - 1}:0] tokens", "[31:0] tokens"))
    with pytest.raises(ConversionError, match="tokens_TDATA has 32 bits; this model's has 16"):
        simulate(tmp_path, TOP, flow, tmp_path, sequences)


def test_a_project_that_vitis_never_saw(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"C synthesis of .* has not run"):
        verilog_of(tmp_path, TOP)


def test_a_struct_is_padded_as_c_pads_it() -> None:
    """Two channels of 14 bits and a bool: 16 + 16 + 8 bits, and 8 more so that the next struct is aligned."""
    layout = Layout.of([14, 14, 1])
    assert layout.offsets == (0, 16, 32)
    assert layout.width == 48
    assert layout.unpack(layout.pack([-1, 5, 1])) == [0x3FFF, 5, 1]
    assert Layout.of([1, 20]).offsets == (0, 32)


def test_the_command_asks_for_a_vitis_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cosim", "--rtl", "vitis", "--build", str(tmp_path)]) == 2
    assert "only target=xilinx has" in capsys.readouterr().err
