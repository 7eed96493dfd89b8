"""Training with quantizers in the loop, calibration, and the held-out text."""
