"""Benches of the IP, its parts and the board."""
