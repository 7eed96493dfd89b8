"""How many multipliers, lanes and FIFO words each block gets."""
