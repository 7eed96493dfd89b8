// A pin of an ECP5 that is driven from both sides, as nextpnr names it, for simulation.
/* verilator lint_off UNUSEDPARAM */
/* verilator lint_off UNUSEDSIGNAL */
module TRELLIS_IO #(
    parameter DIR = "BIDIR"
) (
    inout  wire  B,
    input  logic I,
    input  logic T,
    output logic O
);
  assign B = T ? 1'bz : I;
  assign O = B;
endmodule
