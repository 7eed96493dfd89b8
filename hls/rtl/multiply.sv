// product = a * b + c, all signed, two cycles after a and b and one after c. Where a is wider than the target's multipliers
// (WIDE bits, signed), it is cut in two: stage 1 holds the partial products, stage 2 their sum.
module multiply #(
    parameter int A_BITS = 32,
    parameter int B_BITS = 17,
    parameter int WIDE   = 25
) (
    input  logic                            clk,
    input  logic signed [       A_BITS-1:0] a,
    input  logic signed [       B_BITS-1:0] b,
    input  logic signed [A_BITS+B_BITS-1:0] c,
    output logic signed [A_BITS+B_BITS-1:0] product
);
  localparam int Cut = 17;  // an unsigned part of 17 bits is a signed one of 18

  if (A_BITS <= WIDE) begin : gen_whole
    logic signed [A_BITS+B_BITS-1:0] whole_q;
    always_ff @(posedge clk) begin
      whole_q <= a * b;
      product <= whole_q + c;
    end
  end else begin : gen_cut
    logic signed [Cut:0] low;
    logic signed [A_BITS-Cut-1:0] high;
    logic signed [Cut+B_BITS:0] low_q;
    logic signed [A_BITS-Cut+B_BITS-1:0] high_q;
    assign low  = {1'b0, a[Cut-1:0]};
    assign high = a[A_BITS-1:Cut];
    always_ff @(posedge clk) begin
      low_q   <= low * b;
      high_q  <= high * b;
      product <= ((A_BITS + B_BITS)'(high_q) <<< Cut) + (A_BITS + B_BITS)'(low_q) + c;
    end
  end
endmodule
