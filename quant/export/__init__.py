"""A quantized network as QONNX, executed, and the golden vectors of its traces."""
