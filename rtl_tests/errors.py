"""The one exception of this layer."""


class ToolError(RuntimeError):
    """A tool is missing, or a simulation could not be built."""
