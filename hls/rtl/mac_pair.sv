// Two rows' multiply-accumulate in one multiplier that has an accumulator (DSP48E1: 25 x 18 bits, 48 of sum):
//
//   total = sum of (w0 + w1 * 2**Pitch) * x = S1 * 2**Pitch + S0
//
// The low field of total is that of S0; what S0 has above it, floor(S0 / 2**Pitch), has gone into the upper one. It is
// counted: a product moves S0 by less than a quarter of 2**Pitch, so the field's two upper bits tell when it wraps. The
// upper field is given as it is, S1 + floor(S0 / 2**Pitch), so that whoever reads one sum at a time subtracts but once.
// Stage 1 holds the operands, 2 the product, 3 total. Weights are symmetric: never -2**(WEIGHT_BITS-1).
module mac_pair #(
    parameter int X_BITS      = 8,
    parameter int X_SIGNED    = 1,
    parameter int WEIGHT_BITS = 8,
    parameter int SUM_BITS    = 24,
    parameter int WIDE        = 25
) (
    input  logic                     clk,
    input  logic [       X_BITS-1:0] x,       // cycle 0
    input  logic [2*WEIGHT_BITS-1:0] weight,
    input  logic                     step,    // cycle 2: the product counts
    input  logic                     first,   // and is the first of its sum
    output logic [     SUM_BITS-1:0] low,     // cycle 3: S0
    output logic [     SUM_BITS-1:0] high     // S1 + floor(S0 / 2**Pitch)
);
  localparam int Pitch = WIDE - WEIGHT_BITS;
  localparam int TotalBits = Pitch + SUM_BITS;
  localparam int XW = X_BITS + (X_SIGNED != 0 ? 0 : 1);  // an unsigned x gets a sign
  localparam int ProductBits = WIDE + XW;
  localparam int AboveBits = SUM_BITS - Pitch;

  logic signed [XW-1:0] x_q;
  logic signed [WIDE-1:0] wide_q;
  logic signed [ProductBits-1:0] product_q;
  logic signed [TotalBits-1:0] total_q;

  always_ff @(posedge clk) begin
    x_q       <= XW'(x);
    wide_q    <= WIDE'($signed(weight[WEIGHT_BITS-1:0])) + {weight[WEIGHT_BITS+:WEIGHT_BITS], {Pitch{1'b0}}};
    product_q <= wide_q * x_q;
    if (step) total_q <= (first ? '0 : total_q) + TotalBits'(product_q);
  end

  logic [1:0] top, earlier, earlier_q;  // of S0's field, now and a step ago
  logic [AboveBits-1:0] above, above_q;
  logic step_q, first_q, up, down, unused_borrow;

  assign top = total_q[Pitch-1-:2];
  assign earlier = first_q ? 2'b00 : earlier_q;
  assign up = step_q && earlier == 2'b11 && top == 2'b00;
  assign down = step_q && earlier == 2'b00 && top == 2'b11;
  // The step of -1, 0 or 1 as the first operand, of which an adder makes a mere wire (mac_array.sv).
  assign {above, unused_borrow} = {{AboveBits - 1{down}}, up || down, 1'b0} - {step_q && first_q ? '1 : ~above_q, 1'b1};
  always_ff @(posedge clk) begin
    step_q  <= step;
    first_q <= first;
    above_q <= above;
    if (step_q) earlier_q <= top;
  end

  assign low  = {above, total_q[Pitch-1:0]};
  assign high = total_q[Pitch+:SUM_BITS];
endmodule
