"""What every operation of ``quant.ops`` has in common: its schema and its form."""
