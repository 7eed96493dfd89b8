"""The RTL backend: one SystemVerilog block per operation, and the writer that joins them to one top."""
