// Dot products of PE rows of weights with one input a step, two rows to a multiplier that also accumulates:
//
//   p = sum (w0 + w1 * 2**Reach) * x = s0 + s1 * 2**Reach
//
// Its low bits are those of s0; bit Reach is that of s0 once the lowest bit of s1, a mere parity, is taken off. One step
// moves s0 by less than a quarter of 2**(Reach+1), so its top two bits tell when it wraps: a counter holds the rest.
// above = s0 >> Reach, so s0 = {above, low bits of p} and s1 = (p >> Reach) - above: left to whoever reads `sums`.
//
// Stage 1 holds the products, stage 2 their sum p, stage 3 p and above. `step` and `first` come with stage 1.
module packed_sums #(
    parameter int PE          = 8,
    parameter int X_BITS      = 8,
    parameter int X_SIGNED    = 1,
    parameter int WEIGHT_BITS = 8,
    parameter int SUM_BITS    = 22,
    parameter int REACH       = 16   // bits of a product
) (
    input  logic                           clk,
    input  logic                           step,
    input  logic                           first,   // of a sum
    input  logic [             X_BITS-1:0] x,
    input  logic [     PE*WEIGHT_BITS-1:0] weight,
    output logic [(PE+1)/2*2*SUM_BITS-1:0] sums     // by pair of rows: {above, p}
);
  localparam int Total = REACH + SUM_BITS;
  localparam int Above = SUM_BITS - REACH;
  localparam int Wide = REACH + WEIGHT_BITS;

  logic step_q, first_q;
  always_ff @(posedge clk) {step_q, first_q} <= {step, first};

  logic signed [X_BITS:0] value;  // an unsigned x gets a sign
  assign value = {X_SIGNED != 0 && x[X_BITS-1], x};

  for (genvar g = 0; g < PE; g += 2) begin : gen_pair
    logic signed [WEIGHT_BITS-1:0] low, high;
    logic signed [Wide-1:0] wide;
    logic signed [Wide+X_BITS-1:0] product_q;  // as the weights are symmetric, no bit more
    logic [Total-1:0] p_q;
    logic odd_q, parity_q;  // of w1 * x, and of s1

    assign low = weight[g*WEIGHT_BITS+:WEIGHT_BITS];
    if (g + 1 < PE) begin : gen_two
      assign high = weight[(g+1)*WEIGHT_BITS+:WEIGHT_BITS];
    end else begin : gen_one
      assign high = '0;
    end
    assign wide = Wide'(low) + (Wide'(high) <<< REACH);

    always_ff @(posedge clk) begin
      product_q <= (Wide + X_BITS)'(wide * value);
      odd_q     <= high[0] && x[0];
      if (step) begin
        p_q      <= (first ? '0 : p_q) + Total'(product_q);
        parity_q <= (!first && parity_q) ^ odd_q;
      end
    end

    logic [1:0] top, top_q, earlier;  // bits of s0, now and a step ago
    logic [Above-1:0] above_q;
    logic [Total-1:0] sum_q;
    assign top = {p_q[REACH] ^ parity_q, p_q[REACH-1]};
    assign earlier = first_q ? 2'b00 : top_q;

    always_ff @(posedge clk) begin
      sum_q <= p_q;
      if (step_q) begin
        top_q <= top;
        above_q[0] <= top[1];
        above_q[Above-1:1] <= (first_q ? '0 : above_q[Above-1:1]) + {(Above - 1) {earlier == 2'b00 && top == 2'b11}}
            + (Above - 1)'(earlier == 2'b11 && top == 2'b00);
      end
    end
    assign sums[g*SUM_BITS+:2*SUM_BITS] = {above_q, sum_q};
  end
endmodule
