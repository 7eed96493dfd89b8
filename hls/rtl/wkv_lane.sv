// One lane of the WKV: the datapath of wkv.sv, running freely. The number in a register's name is the cycle, counted
// from the accepted beat, in which it holds that beat's value.
//
//   1 k, v;  2, 3 the key in base 2;  4 plus bonus;  5 state, table;  6 weight * v;  7, 8 aligned;  9 numerator, divisor
//   6, 7 state * decay;  8 leading zeros;  9 shifted;  10 rounded, weight * v;  11, 12 aligned, and the sum: next state
//   10, 11 the dividend;  12 .. 11 + OUT_BITS the quotient;  12 + OUT_BITS the result
module wkv_lane #(
    parameter int K_BITS     = 8,
    parameter int K_SIGNED   = 1,
    parameter int V_BITS     = 8,
    parameter int V_FRAC     = 4,
    parameter int V_SIGNED   = 1,
    parameter int OUT_BITS   = 10,
    parameter int OUT_FRAC   = 6,
    parameter int OUT_SIGNED = 1,
    parameter int KEY_FACTOR = 1477,
    parameter int A_BITS     = 31,
    parameter int B_BITS     = 23,
    parameter int E_BITS     = 12,
    parameter     EXP2_FILE  = ""
) (
    input  logic                       clk,
    input  logic        [  K_BITS-1:0] k,       // cycle 0
    input  logic        [  V_BITS-1:0] v,
    input  logic signed [        11:0] bonus,   // cycle 3
    input  logic        [        15:0] decay,   // cycle 4
    input  logic                       first,
    input  logic signed [  A_BITS-1:0] read_a,
    input  logic        [  B_BITS-1:0] read_b,
    input  logic signed [  E_BITS-1:0] read_e,
    output logic signed [  A_BITS-1:0] next_a,  // cycle 12
    output logic        [  B_BITS-1:0] next_b,
    output logic signed [  E_BITS-1:0] next_e,
    output logic        [OUT_BITS-1:0] y        // cycle 12 + OUT_BITS
);
  // As in quant/ops/wkv.py.
  localparam int MantissaBits = 22;
  localparam int TableFrac = 14;
  localparam int OctaveFrac = 6;
  localparam int KeyShift = 8;
  localparam int DecayBits = 16;
  localparam int Up = OUT_FRAC - V_FRAC + 1;  // of the numerator, doubled; at least 0

  localparam int KW = K_BITS + 1;  // an unsigned k or v gets a sign
  localparam int VW = V_BITS + 1;
  localparam int FactorBits = $clog2(KEY_FACTOR + 1) + 1;
  localparam int ScaledBits = KW + FactorBits + 1;
  localparam int KeyBits = ScaledBits - KeyShift;
  localparam int SumBits = (KeyBits > 12 ? KeyBits : 12) + 1;
  localparam int TermBits = (SumBits - OctaveFrac > E_BITS ? SumBits - OctaveFrac : E_BITS) + 2;
  localparam int WeightBits = MantissaBits;
  localparam logic signed [FactorBits-1:0] Factor = FactorBits'(KEY_FACTOR);
  localparam logic signed [ScaledBits-1:0] Half = 1 << (KeyShift - 1);
  localparam logic signed [TermBits-1:0] Top = TermBits'(MantissaBits - 1);
  localparam logic signed [E_BITS-1:0] Empty = {1'b1, {E_BITS - 1{1'b0}}};

  logic [TableFrac:0] exp2[2**OctaveFrac];
  initial $readmemh(EXP2_FILE, exp2);

  // Not all of their bits are of use: signs that are known, bits below a rounding, room that a state never takes.
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [ScaledBits-1:0] rounded;
  logic signed [WeightBits+VW:0] weighted6_q, weighted10_q;
  logic signed [B_BITS+DecayBits+1:0] product_b7;
  logic signed [TermBits-1:0] sum_e;
  logic signed [A_BITS:0] sum_a;
  logic [B_BITS:0] sum_b;
  /* verilator lint_on UNUSEDSIGNAL */

  // The key in base 2, and its value.
  logic signed [KW-1:0] key1_q;
  logic signed [VW-1:0] value1_q, value5, value9;
  logic signed [ScaledBits-1:0] scaled2_q;
  logic signed [KeyBits-1:0] key3_q, key8;
  logic signed [SumBits-1:0] sum4_q;

  assign rounded = scaled2_q + Half;
  always_ff @(posedge clk) begin
    key1_q    <= {K_SIGNED != 0 && k[K_BITS-1], k};
    value1_q  <= {V_SIGNED != 0 && v[V_BITS-1], v};
    scaled2_q <= key1_q * Factor;
    key3_q    <= rounded[ScaledBits-1:KeyShift];
    sum4_q    <= SumBits'(key3_q) + SumBits'(bonus);
  end

  delay #(
      .WIDTH (VW),
      .CYCLES(4)
  ) u_value5 (
      .clk,
      .x(value1_q),
      .y(value5)
  );
  delay #(
      .WIDTH (VW),
      .CYCLES(4)
  ) u_value9 (
      .clk,
      .x(value5),
      .y(value9)
  );
  delay #(
      .WIDTH (KeyBits),
      .CYCLES(5)
  ) u_key8 (
      .clk,
      .x(key3_q),
      .y(key8)
  );

  // The state, and the sums with the bonus.
  logic signed [A_BITS-1:0] a5_q, a6_q;
  logic [B_BITS-1:0] b5_q, b6_q, weight6_q;
  logic signed [E_BITS-1:0] e5_q;
  logic [DecayBits-1:0] decay5_q;
  logic signed [TermBits-1:0] term5_q, unused_exponent;
  logic [TableFrac:0] entry5_q;
  logic signed [WeightBits:0] weight5;
  logic signed [A_BITS:0] numerator, numerator9_q;
  logic [B_BITS:0] divisor, divisor9_q, divisor10_q, divisor11_q;

  assign weight5 = {1'b0, entry5_q, {MantissaBits - 1 - TableFrac{1'b0}}};
  always_ff @(posedge clk) begin
    entry5_q     <= exp2[sum4_q[OctaveFrac-1:0]];
    term5_q      <= TermBits'(sum4_q >>> OctaveFrac) - Top;
    a5_q         <= first ? '0 : read_a;
    b5_q         <= first ? '0 : read_b;
    e5_q         <= first ? Empty : read_e;
    decay5_q     <= decay;
    a6_q         <= a5_q;
    b6_q         <= b5_q;
    weighted6_q  <= weight5 * value5;
    weight6_q    <= B_BITS'(weight5);
    numerator9_q <= numerator;
    divisor9_q   <= divisor;
  end

  align_add #(
      .A_BITS(A_BITS),
      .B_BITS(B_BITS),
      .E_BITS(TermBits)
  ) u_mean (
      .clk,
      .exponent(TermBits'(e5_q)),
      .term(term5_q),
      .a(a6_q),
      .b(b6_q),
      .term_a(A_BITS'(weighted6_q)),
      .term_b(weight6_q),
      .sum_a(numerator),
      .sum_b(divisor),
      .sum_exponent(unused_exponent)
  );

  // The state times decay, normalised in full: shifted left until the denominator's highest 1 is at the top, then
  // rounded half up to MantissaBits.
  localparam int FullA = A_BITS + DecayBits + 1;  // one bit more than the product: a may exceed b's share by a rounding
  localparam int FullB = B_BITS + DecayBits;
  localparam int Drop = FullB - MantissaBits;
  localparam int ZeroBits = $clog2(FullB);
  // The exponent of the mantissas after that shift, where there were no leading zeros.
  localparam logic signed [TermBits-1:0] DownBy = TermBits'(Drop - DecayBits);
  logic signed [A_BITS+DecayBits:0] product_a7, product_a8_q;
  logic [FullB-1:0] product_b8_q, shifted_b9_q;
  logic signed [FullA-1:0] shifted_a9_q;
  logic [ZeroBits-1:0] zeros, zeros8_q;
  logic empty, empty8_q, empty9_q;
  logic signed [E_BITS-1:0] e7, e8_q;
  logic signed [TermBits-1:0] exponent9_q, term9_q;
  logic [TableFrac:0] entry9_q;
  logic signed [WeightBits:0] weight9;
  logic signed [A_BITS-1:0] a10_q;
  logic [B_BITS-1:0] b10_q, weight10_q;

  multiply #(
      .A_BITS(A_BITS),
      .B_BITS(DecayBits + 1)
  ) u_decay_a (
      .clk,
      .a(a5_q),
      .b($signed({1'b0, decay5_q})),
      .product(product_a7)
  );
  multiply #(
      .A_BITS(B_BITS + 1),
      .B_BITS(DecayBits + 1)
  ) u_decay_b (
      .clk,
      .a($signed({1'b0, b5_q})),
      .b($signed({1'b0, decay5_q})),
      .product(product_b7)
  );
  delay #(
      .WIDTH (E_BITS),
      .CYCLES(2)
  ) u_e7 (
      .clk,
      .x(e5_q),
      .y(e7)
  );
  leading_zeros #(
      .WIDTH(FullB)
  ) u_zeros (
      .x(product_b7[FullB-1:0]),
      .count(zeros),
      .empty
  );

  assign weight9 = {1'b0, entry9_q, {MantissaBits - 1 - TableFrac{1'b0}}};
  always_ff @(posedge clk) begin
    product_a8_q <= product_a7;
    product_b8_q <= product_b7[FullB-1:0];
    zeros8_q <= zeros;
    empty8_q <= empty;
    e8_q <= e7;

    shifted_a9_q <= product_a8_q <<< zeros8_q;
    shifted_b9_q <= product_b8_q << zeros8_q;
    empty9_q <= empty8_q;
    exponent9_q <= empty8_q ? TermBits'(Empty) : TermBits'(e8_q) + DownBy - $signed(TermBits'(zeros8_q));
    entry9_q <= exp2[key8[OctaveFrac-1:0]];
    term9_q <= TermBits'(key8 >>> OctaveFrac) - Top;

    a10_q <= empty9_q ? '0 : A_BITS'(shifted_a9_q >>> Drop) + A_BITS'(shifted_a9_q[Drop-1]);
    b10_q <= B_BITS'(shifted_b9_q >> Drop) + B_BITS'(shifted_b9_q[Drop-1]);
    weighted10_q <= weight9 * value9;
    weight10_q <= B_BITS'(weight9);
  end

  align_add #(
      .A_BITS(A_BITS),
      .B_BITS(B_BITS),
      .E_BITS(TermBits)
  ) u_state (
      .clk,
      .exponent(exponent9_q),
      .term(term9_q),
      .a(a10_q),
      .b(b10_q),
      .term_a(A_BITS'(weighted10_q)),
      .term_b(weight10_q),
      .sum_a,
      .sum_b,
      .sum_exponent(sum_e)
  );
  // b stays below 2**B_BITS (wkv.py, `state_format`), and a within its share of it.
  assign next_a = sum_a[A_BITS-1:0];
  assign next_b = sum_b[B_BITS-1:0];
  assign next_e = sum_e[E_BITS-1:0];

  // y = saturate(floor((2*n + d) / (2*d))), n the numerator on the output's grid. Less the lowest output, that is
  // floor(dividend / d), never negative unless it saturates.
  localparam int HalvedBits = A_BITS + 1 + Up + 2;
  localparam int DividendBits = (HalvedBits > B_BITS + 1 + OUT_BITS ? HalvedBits : B_BITS + 1 + OUT_BITS) + 2;
  logic signed [HalvedBits-1:0] doubled, halved10_q;
  logic signed [DividendBits-1:0] dividend11_q, offset;
  logic below12_q, above12_q, below, above;
  logic [OUT_BITS-1:0] quotient;

  assign doubled = (HalvedBits'(numerator9_q) <<< Up) + $signed(HalvedBits'(divisor9_q));
  assign offset  = OUT_SIGNED != 0 ? $signed(DividendBits'(divisor10_q)) <<< (OUT_BITS - 1) : '0;
  always_ff @(posedge clk) begin
    halved10_q <= doubled >>> 1;
    divisor10_q <= divisor9_q;
    dividend11_q <= DividendBits'(halved10_q) + offset;
    divisor11_q <= divisor10_q;
    below12_q <= dividend11_q[DividendBits-1];
    above12_q    <= (DividendBits - OUT_BITS)'(dividend11_q >> OUT_BITS) >= (DividendBits - OUT_BITS)'(divisor11_q);
  end

  divider #(
      .DIVISOR_BITS (B_BITS + 1),
      .QUOTIENT_BITS(OUT_BITS)
  ) u_divider (
      .clk,
      .dividend(dividend11_q[B_BITS+OUT_BITS:0]),
      .divisor (divisor11_q),
      .quotient
  );
  delay #(
      .WIDTH (2),
      .CYCLES(OUT_BITS - 1)
  ) u_saturated (
      .clk,
      .x({below12_q, above12_q && !below12_q}),
      .y({below, above})
  );

  logic [OUT_BITS-1:0] saturated;
  assign saturated = below ? '0 : above ? '1 : quotient;
  always_ff @(posedge clk) begin
    y <= saturated;
    if (OUT_SIGNED != 0) y[OUT_BITS-1] <= !saturated[OUT_BITS-1];
  end
endmodule
