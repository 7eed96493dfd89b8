// An ECP5's register at an output pin, for simulation: as the one at an input pin.
module OFS1P3BX (
    input  logic D,
    input  logic PD,
    input  logic SCLK,
    input  logic SP,
    output logic Q
);
  IFS1P3BX u_register (.*);
endmodule
