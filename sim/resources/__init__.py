"""LUT, FF, DSP and block RAM, by Yosys and nextpnr."""
