"""The cycle of every transfer, without RTL."""
