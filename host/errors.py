"""The one exception of this layer."""


class HostError(RuntimeError):
    """The machine lacks something; one sentence for the user says what."""
