// square = x * x of a signed x of more than 17 bits, in the next cycle: three products that each fit one multiplier, or
// two, are registered, and then summed. x = high * 2**17 + low, low >= 0.
module wide_square #(
    parameter int BITS = 21
) (
    input  logic                     clk,
    input  logic signed [  BITS-1:0] x,
    output logic        [2*BITS-1:0] square
);
  localparam int Cut = 17;  // an unsigned part of 17 bits is a signed one of 18
  localparam int High = BITS - Cut;

  logic signed [Cut:0] low;
  logic signed [High-1:0] high;
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [2*Cut+1:0] low_q;  // its upper bits are 0
  /* verilator lint_on UNUSEDSIGNAL */
  logic signed [2*High-1:0] high_q;
  logic signed [High+Cut:0] both_q;
  assign low  = {1'b0, x[Cut-1:0]};
  assign high = x[BITS-1:Cut];

  always_ff @(posedge clk) begin
    low_q  <= low * low;
    high_q <= high * high;
    both_q <= high * low;
  end
  assign square = {high_q, low_q[2*Cut-1:0]} + ((2 * BITS)'(both_q) <<< (Cut + 1));
endmodule
