"""The training loop, and what it shows while it runs."""
