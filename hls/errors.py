"""The one error of this folder."""


class ConversionError(ValueError):
    """A graph that the target cannot implement as asked: what, where, and what would do."""
