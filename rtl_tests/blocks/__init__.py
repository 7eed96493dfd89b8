"""One bench for each operation."""
