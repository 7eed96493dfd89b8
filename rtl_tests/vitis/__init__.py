"""The Verilog that Vitis HLS writes, in simulation."""
