"""Benches of what blocks are made of."""
