"""The one exception of this folder."""


class SimulationError(ValueError):
    """A simulation, an energy estimate or a report that cannot be had; the message is one sentence."""
