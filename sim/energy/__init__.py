"""Counted actions times a cited table."""
