"""The machine that it runs on: what it must have, and a cache of what was built there."""
