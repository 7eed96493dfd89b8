"""Synthesised netlists under the benches."""
