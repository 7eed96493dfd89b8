"""Vitis synthesis where Vitis is installed, and the sentence that says why not where it is not."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

from spikegpt_hls.hls.errors import ConversionError


class Synthesis(NamedTuple):
    """hls4ml's report of a synthesis, or the reason why there is none."""

    report: Mapping[str, Any] | None
    reason: str = ""


def synthesize(graph: Any, *, cosim: bool = False, export: bool = False) -> Synthesis:
    """C synthesis of a written project by ``vitis-run``, if that is on the PATH, and its reports.

    A build that Vitis itself fails is a ConversionError that says where its log is.
    """
    if shutil.which("vitis-run") is None:
        return Synthesis(None, "vitis-run is not on the PATH: C synthesis and its resource estimates were not run")
    output = graph.config.get_output_dir()
    try:
        report = graph.build(csim=False, synth=True, cosim=cosim, export=export, log_to_stdout=False)
    except Exception as error:  # hls4ml raises nothing more precise
        raise ConversionError(f"Vitis failed ({error}); its log is {output}/build_stdout.log") from error
    if not report:
        return Synthesis(None, f"vitis-run left no report under {output}")
    return Synthesis(report)
