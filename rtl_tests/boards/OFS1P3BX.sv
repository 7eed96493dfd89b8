// An ECP5's register at an output pin, for simulation; it is 1 after configuration.
/* verilator lint_off UNUSEDPARAM */
/* verilator lint_off UNUSEDSIGNAL */
module OFS1P3BX (
    input  logic D,
    input  logic PD,
    input  logic SCLK,
    input  logic SP,
    output logic Q
);
  initial Q = 1'b1;
  always_ff @(posedge SCLK) if (SP) Q <= D;
endmodule
