// One lane of layernorm: y = requantize(round(d * root / 2**(6 + exponent)) * gain + bias), d = CHANNELS * x - sum
//
// Cycles after a beat was read: 2 x is here, 3 CHANNELS * x and sum, 4 d and root, 6 d * root and the upper bits of the
// exponent, 7 its lower bits, 8 shifted, 9 rounded, gain and bias, 10 times gain, 11 plus bias; y follows by logic alone.
module layernorm_lane #(
    parameter int CHANNELS       = 64,
    parameter int X_BITS         = 8,
    parameter int X_SIGNED       = 1,
    parameter int GAIN_BITS      = 8,
    parameter int GAIN_FRAC      = 5,
    parameter int BIAS_BITS      = 16,
    parameter int BIAS_FRAC      = 10,
    parameter int OUT_BITS       = 8,
    parameter int OUT_FRAC       = 4,
    parameter int OUT_SIGNED     = 1,
    parameter int SUM_BITS       = 14,
    parameter int DEVIATION_BITS = 15,
    parameter int NORM_BITS      = 15,
    parameter int WIDE           = 25
) (
    input  logic                        clk,
    input  logic        [   X_BITS-1:0] x2,
    input  logic signed [ SUM_BITS-1:0] sum3,
    input  logic        [         16:0] root4,
    input  logic        [          1:0] upper6,
    input  logic        [          2:0] lower7,
    input  logic        [GAIN_BITS-1:0] gain9,
    input  logic        [BIAS_BITS-1:0] bias9,
    output logic        [ OUT_BITS-1:0] y11
);
  localparam int XW = X_BITS + 1;  // an unsigned x gets a sign
  localparam int NormFrac = 10;
  localparam int RootBits = 18;  // with a sign
  localparam int Down = 16 - NormFrac;  // the shift is Down + exponent
  localparam int ProductBits = DEVIATION_BITS + RootBits;
  localparam int FineBits = NORM_BITS + Down;
  localparam int GainedBits = NORM_BITS + GAIN_BITS;
  localparam int BiasUp = NormFrac + GAIN_FRAC - BIAS_FRAC;
  localparam int BiasBits = BIAS_BITS + BiasUp;
  localparam int ScaledBits = (GainedBits > BiasBits ? GainedBits : BiasBits) + 1;
  localparam logic signed [XW+SUM_BITS-1:0] Channels = (XW + SUM_BITS)'(CHANNELS);

  logic signed [XW-1:0] x;
  logic signed [XW+SUM_BITS-1:0] scaled_x_q;
  logic signed [DEVIATION_BITS-1:0] deviation_q;
  logic signed [ProductBits-1:0] product, coarse_q;
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [ProductBits-1:0] fine;  // its upper bits are signs
  /* verilator lint_on UNUSEDSIGNAL */
  logic signed [FineBits-1:0] fine_q;
  logic coarse_rest, coarse_rest_q, fine_rest, fine_rest_q, up;
  logic signed [ NORM_BITS-1:0] norm_q;
  logic signed [GainedBits-1:0] gained_q;
  logic signed [ScaledBits-1:0] offset_q, scaled_q;

  assign x = {X_SIGNED != 0 && x2[X_BITS-1], x2};
  multiply #(
      .A_BITS(DEVIATION_BITS),
      .B_BITS(RootBits),
      .WIDE  (WIDE)
  ) u_product (
      .clk,
      .a(deviation_q),
      .b($signed({1'b0, root4})),
      .c('0),
      .product
  );

  // The shifts of the exponent's upper and lower bits; what they drop is remembered for the rounding. |d / sqrt(N)| < sqrt(C) fits
  // NORM_BITS with one bit to spare, so nothing saturates.
  assign coarse_rest = (product & ~({ProductBits{1'b1}} << {upper6, 3'd0})) != '0;
  assign fine = coarse_q >>> lower7;
  assign fine_rest = (coarse_q[6:0] & ~(7'h7f << lower7)) != '0;
  assign up = fine_q[Down-1] && (fine_q[Down-2:0] != '0 || fine_rest_q || fine_q[Down]);

  always_ff @(posedge clk) begin
    scaled_x_q    <= (XW + SUM_BITS)'(x) * Channels;
    deviation_q   <= DEVIATION_BITS'(scaled_x_q - (XW + SUM_BITS)'(sum3));
    coarse_q      <= product >>> {upper6, 3'd0};
    coarse_rest_q <= coarse_rest;
    fine_q        <= fine[FineBits-1:0];
    fine_rest_q   <= coarse_rest_q || fine_rest;
    // Signed, as Yosys takes the sum into the DSP block, where an unsigned one would come without its sign.
    norm_q        <= $signed(fine_q[FineBits-1:Down]) + NORM_BITS'($signed({1'b0, up}));
    gained_q      <= norm_q * $signed(gain9);
    offset_q      <= ScaledBits'($signed(bias9)) <<< BiasUp;
    scaled_q      <= gained_q + offset_q;
  end

  requantize #(
      .IN_BITS   (ScaledBits),
      .SHIFT     (NormFrac + GAIN_FRAC - OUT_FRAC),
      .OUT_BITS  (OUT_BITS),
      .OUT_SIGNED(OUT_SIGNED)
  ) u_requantize (
      .x(scaled_q),
      .y(y11)
  );
endmodule
