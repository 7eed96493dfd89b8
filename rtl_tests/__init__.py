"""cocotb: one bench per block, one for the whole model. Nothing here loads torch."""
