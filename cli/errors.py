"""Which exceptions are a user's, and the one that says the hardware is wrong."""

from __future__ import annotations


class WorkspaceError(Exception):
    """A folder of results, or what was asked of it, is not as it has to be. Exit code 2."""


class MismatchError(Exception):
    """Two implementations of one meaning differ. Exit code 1."""


def user_errors() -> tuple[type[Exception], ...]:
    """One exception class per layer; each message is a sentence for the user. Only layers that are loaded can raise."""
    import sys

    known = {
        "spikegpt_hls.cli.errors": "WorkspaceError",
        "spikegpt_hls.host.errors": "HostError",
        "spikegpt_hls.model.errors": "ModelError",
        "spikegpt_hls.quant.errors": "GraphError",
        "spikegpt_hls.hls.driver.errors": "DeviceError",
        "spikegpt_hls.sim.errors": "SimulationError",
        "spikegpt_hls.rtl_tests.errors": "ToolError",
    }
    return tuple(getattr(sys.modules[module], name) for module, name in known.items() if module in sys.modules)
