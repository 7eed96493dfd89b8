"""The whole model in RTL simulation."""
