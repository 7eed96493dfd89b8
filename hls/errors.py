"""The one error of this folder."""

from __future__ import annotations

from spikegpt_hls.quant.errors import GraphError


class ConversionError(GraphError):
    """A graph that the target cannot implement as asked: what, where, and what would do."""
