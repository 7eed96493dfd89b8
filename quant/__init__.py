"""The integer meaning of every operation, and the quantized network that trains towards it."""
