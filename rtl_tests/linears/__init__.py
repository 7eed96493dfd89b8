"""Other ways in which a Linear is built: on an engine that several share, and driven by events."""
