"""``verilog``: the RTL, for any simulator and any part."""

from __future__ import annotations

from spikegpt_hls.cli.targets import Target

TARGET = Target("verilog", "the RTL: one top, one block per operation, memory images", memory=True)
