// y = the word of x that s selects: one LUT of six inputs per bit. Kept as a module of its own, as Yosys takes two where
// it sees more than this at once.
(* keep_hierarchy *)
module mux4 #(
    parameter int WIDTH = 8
) (
    input  logic [        1:0] s,
    input  logic [4*WIDTH-1:0] x,
    output logic [  WIDTH-1:0] y
);
  assign y = x[s*WIDTH+:WIDTH];
endmodule
