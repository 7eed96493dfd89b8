"""The one exception of this layer."""


class ModelError(ValueError):
    """A text, checkpoint, or setting that cannot be used; the message is one sentence for the user."""
