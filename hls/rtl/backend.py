"""The hls4ml backend ``SpikeRTL``: the same ``ModelGraph`` that Vitis gets, written as SystemVerilog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hls4ml.backends.fpga.fpga_backend import FPGABackend
from hls4ml.model.flow import register_flow
from hls4ml.model.layers import Layer
from hls4ml.model.optimizer import layer_optimizer
from hls4ml.writer.writers import Writer

from spikegpt_hls.hls.dataflow import XC7_MULTIPLIER
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.ring import DEPTHS, PLACES, SPATIAL
from spikegpt_hls.hls.fold.rows import BUS, CHIP, WEIGHTS


class SpikeRTLWriter(Writer):
    """Writes ``<output_dir>/rtl``."""

    def write_hls(self, model: Any, is_multigraph: bool = False) -> None:
        from spikegpt_hls.hls.frontend.graph import dataflow
        from spikegpt_hls.hls.rtl.writer import write

        write(dataflow(model), Path(model.config.get_output_dir()) / "rtl")


class SpikeRTLBackend(FPGABackend):
    """Parallelism follows ``ReuseFactor`` per Linear and ``lanes`` for all streams. It converts and writes; what
    simulates and synthesises comes with ``cli/hls4ml_backend.py``."""

    def __init__(self) -> None:
        super().__init__("SpikeRTL")
        initializers = register_flow(
            "init_layers", self._get_layer_initializers(), requires=["optimize"], backend=self.name
        )
        self._default_flow = register_flow("ip", None, requires=["optimize", initializers], backend=self.name)
        self._writer_flow = register_flow(
            "write", ["make_stamp", "spikertl:write_hls"], requires=[self._default_flow], backend=self.name
        )

    def get_default_flow(self) -> str:
        return str(self._default_flow)

    def get_writer_flow(self) -> str:
        return str(self._writer_flow)

    def implements(self, layer: Any) -> bool:
        """Whether there is a block for the layer."""
        from spikegpt_hls.hls.frontend.layers import Fork, OperationLayer
        from spikegpt_hls.hls.rtl.blocks import MODULES

        return isinstance(layer, Fork) or (
            isinstance(layer, OperationLayer) and type(layer.operation).__name__ in MODULES
        )

    def create_initial_config(
        self,
        part: str = "generic",
        clock_period: float = 10,
        io_type: str = "io_stream",
        multiplier: Sequence[int] = XC7_MULTIPLIER,
        depth: str = SPATIAL,
        places: int = PLACES,
        weights: str = CHIP,
        batch: int = 1,
        bus: int = BUS,
        **_: Any,
    ) -> dict[str, Any]:
        common = {"Part": part, "ClockPeriod": clock_period, "IOType": io_type, "HLSConfig": {}}
        if depth not in DEPTHS:
            raise ConversionError(f"unknown depth {depth!r}: choose one of {', '.join(DEPTHS)}")
        if weights not in WEIGHTS:
            raise ConversionError(f"unknown weights {weights!r}: choose one of {', '.join(WEIGHTS)}")
        ours = {"Multiplier": list(multiplier), "Depth": depth, "Places": places}
        return {**common, **ours, "Weights": weights, "Batch": batch, "Bus": bus}

    @layer_optimizer(Layer)  # type: ignore[untyped-decorator]
    def init_base_layer(self, layer: Any) -> None:
        layer.set_attr("reuse_factor", layer.model.config.get_reuse_factor(layer))
