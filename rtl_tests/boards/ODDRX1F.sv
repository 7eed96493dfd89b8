// An ECP5's output at both edges, for simulation: D0 while SCLK is high, D1 while it is low.
/* verilator lint_off UNUSEDPARAM */
/* verilator lint_off UNUSEDSIGNAL */
module ODDRX1F (
    input  logic D0,
    input  logic D1,
    input  logic SCLK,
    input  logic RST,
    output logic Q
);
  assign Q = SCLK ? D0 : D1;
endmodule
