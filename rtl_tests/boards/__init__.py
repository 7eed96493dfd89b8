"""Whole boards, pin by pin: their parts as models, and a terminal or a host program at their serial line."""
