"""QONNX to an hls4ml graph, and that graph as a dataflow."""
