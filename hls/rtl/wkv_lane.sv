// One lane of the WKV: the datapath of wkv.sv, running freely. The number in a register's name is the cycle, counted
// from the accepted beat, in which it holds that beat's value.
//
//   1 k, v;  2, 3 the key in base 2;  4 plus bonus;  5 state, table;  6 weight * v;  7 .. 9 aligned;  10 numerator, divisor
//   6, 7 state * decay;  8 shifted;  9 rounded, weight * v;  10 .. 12 aligned, and the sum: next state
//   11 the dividend;  12 .. 10 + Q the quotient, Q bits with its sign;  11 + Q the result
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
    parameter int WIDE       = 25,
    parameter     EXP2_FILE  = ""
) (
    input  logic                       clk,
    input  logic        [  K_BITS-1:0] k,       // cycle 0
    input  logic        [  V_BITS-1:0] v,
    input  logic signed [        11:0] bonus,   // cycle 3
    input  logic        [        19:0] decay,   // cycle 4: zeros above its highest 1, and itself without them
    input  logic                       first,
    input  logic signed [  A_BITS-1:0] read_a,
    input  logic        [  B_BITS-1:0] read_b,
    input  logic signed [  E_BITS-1:0] read_e,
    output logic signed [  A_BITS-1:0] next_a,  // cycle 12
    output logic        [  B_BITS-1:0] next_b,
    output logic signed [  E_BITS-1:0] next_e,
    output logic        [OUT_BITS-1:0] y        // cycle 11 + Q
);
  // As in quant/ops/wkv.py.
  localparam int MantissaBits = 22;
  localparam int TableFrac = 14;
  localparam int OctaveFrac = 6;
  localparam int KeyShift = 8;
  localparam int DecayBits = 16;
  localparam int DecayZeros = 4;
  localparam int Up = OUT_FRAC - V_FRAC + 1;  // of the numerator, doubled; at least 0

  // An unsigned k or v gets a sign. A product's register has its bits and no more: of copies of a sign that a DSP block's
  // register holds, Yosys leaves all but one without a driver.
  localparam int KW = K_BITS + (K_SIGNED != 0 ? 0 : 1);
  localparam int VW = V_BITS + 1;
  localparam int FactorBits = $clog2(KEY_FACTOR + 1) + 1;
  localparam int ScaledBits = (KW + FactorBits > KeyShift + 12 ? KW + FactorBits : KeyShift + 12) + 1;
  localparam int KeyBits = ScaledBits - KeyShift;
  localparam int SumBits = (KeyBits > 12 ? KeyBits : 12) + 1;
  localparam int TermBits = (SumBits - OctaveFrac > E_BITS ? SumBits - OctaveFrac : E_BITS) + 2;
  localparam int WeightBits = MantissaBits;
  localparam logic signed [FactorBits-1:0] Factor = FactorBits'(KEY_FACTOR);
  // A term's exponent is its key's less MantissaBits - 1: taken off where the key is rounded.
  localparam logic signed [ScaledBits-1:0] Half =
      ScaledBits'((1 << (KeyShift - 1)) - ((MantissaBits - 1) << (OctaveFrac + KeyShift)));
  localparam logic signed [E_BITS-1:0] Empty = {1'b1, {E_BITS - 1{1'b0}}};

  logic [TableFrac:0] exp2[2**OctaveFrac];
  initial $readmemh(EXP2_FILE, exp2);

  // Not all of their bits are of use: signs that are known, bits below a rounding, room that a state never takes.
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [ScaledBits-1:0] rounded;
  logic signed [WeightBits+VW:0] weighted6_q, weighted9_q;
  logic signed [A_BITS+DecayBits:0] product_a7;
  logic signed [B_BITS+DecayBits+1:0] product_b7;
  logic signed [TermBits-1:0] sum_e;
  logic signed [A_BITS:0] sum_a;
  logic [B_BITS:0] sum_b;
  /* verilator lint_on UNUSEDSIGNAL */

  // The key in base 2, and its value.
  logic signed [KW-1:0] key1_q;
  logic signed [VW-1:0] value1_q, value5, value8;
  logic signed [KW+FactorBits-1:0] scaled2_q;
  logic signed [KeyBits-1:0] key3_q, key7;
  logic signed [SumBits-1:0] sum4_q;

  assign rounded = ScaledBits'(scaled2_q) + Half;
  always_ff @(posedge clk) begin
    key1_q    <= KW'({1'b0, k});
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
      .CYCLES(3)
  ) u_value8 (
      .clk,
      .x(value5),
      .y(value8)
  );
  delay #(
      .WIDTH (KeyBits),
      .CYCLES(4)
  ) u_key7 (
      .clk,
      .x(key3_q),
      .y(key7)
  );

  // The state, and the sums with the bonus.
  logic signed [A_BITS-1:0] a5_q, a6_q;
  logic [B_BITS-1:0] b5_q, b6_q, weight6_q;
  logic signed [E_BITS-1:0] e5_q;
  logic [DecayBits-1:0] decay5_q;
  logic [DecayZeros-1:0] zeros5_q;
  logic first5_q;
  logic signed [TermBits-1:0] term5_q, unused_exponent;
  logic [TableFrac:0] entry5_q;
  logic signed [WeightBits:0] weight5;
  logic signed [A_BITS:0] numerator, numerator10_q;
  logic [B_BITS:0] divisor, divisor10_q, divisor11_q;

  assign weight5 = {1'b0, entry5_q, {MantissaBits - 1 - TableFrac{1'b0}}};
  always_ff @(posedge clk) begin
    entry5_q             <= exp2[sum4_q[OctaveFrac-1:0]];
    term5_q              <= TermBits'(sum4_q >>> OctaveFrac);
    a5_q                 <= first ? '0 : read_a;
    b5_q                 <= first ? '0 : read_b;
    e5_q                 <= first ? Empty : read_e;
    {zeros5_q, decay5_q} <= decay;
    first5_q             <= first;
    a6_q                 <= a5_q;
    b6_q                 <= b5_q;
    weighted6_q          <= weight5 * value5;
    weight6_q            <= B_BITS'(weight5);
    numerator10_q        <= numerator;
    divisor10_q          <= divisor;
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

  // The state times decay, normalised in full: shifted until the denominator has MantissaBits bits, rounded half up. A
  // denominator has MantissaBits or one more, the decay without its leading zeros has all its bits: their product has at
  // most two leading zeros, of which `high` and `middle` tell.
  localparam int Down = DecayBits - 1;  // the shift where there are two
  localparam int High = B_BITS + DecayBits - 1;
  logic high, middle;
  logic signed [A_BITS:0] shifted_a, shifted_a8_q;  // and one bit to round by
  logic [B_BITS:0] shifted_b, shifted_b8_q;
  logic signed [A_BITS-1:0] a9_q;
  logic [B_BITS-1:0] b9_q, weight9_q;
  logic signed [TermBits-1:0] exponent6_q, exponent7_q, exponent8_q, term8_q;
  logic [TableFrac:0] entry8_q;
  logic signed [WeightBits:0] weight8;

  multiply #(
      .A_BITS(A_BITS),
      .B_BITS(DecayBits + 1),
      .WIDE  (WIDE)
  ) u_decay_a (
      .clk,
      .a(a5_q),
      .b($signed({1'b0, decay5_q})),
      .product(product_a7)
  );
  multiply #(
      .A_BITS(B_BITS + 1),
      .B_BITS(DecayBits + 1),
      .WIDE  (WIDE)
  ) u_decay_b (
      .clk,
      .a($signed({1'b0, b5_q})),
      .b($signed({1'b0, decay5_q})),
      .product(product_b7)
  );

  assign high   = product_b7[High];
  assign middle = !high && product_b7[High-1];
  mux4 #(
      .WIDTH(A_BITS + 1)
  ) u_shifted_a (
      .s({high, middle}),
      .x({
        product_a7[Down+1+:A_BITS+1],
        product_a7[Down+1+:A_BITS+1],
        product_a7[Down+:A_BITS+1],
        product_a7[Down-1+:A_BITS+1]
      }),
      .y(shifted_a)
  );
  mux4 #(
      .WIDTH(B_BITS + 1)
  ) u_shifted_b (
      .s({high, middle}),
      .x({
        product_b7[Down+1+:B_BITS+1],
        product_b7[Down+1+:B_BITS+1],
        product_b7[Down+:B_BITS+1],
        product_b7[Down-1+:B_BITS+1]
      }),
      .y(shifted_b)
  );
  assign weight8 = {1'b0, entry8_q, {MantissaBits - 1 - TableFrac{1'b0}}};
  always_ff @(posedge clk) begin
    // The exponent of a shift by Down - DecayBits, which is -1: e - zeros - 1. Without a decay nothing is left.
    if (first5_q || !decay5_q[DecayBits-1]) exponent6_q <= TermBits'(Empty);
    else exponent6_q <= TermBits'(e5_q) + $signed({{TermBits - DecayZeros{1'b1}}, ~zeros5_q});
    exponent7_q <= exponent6_q;

    shifted_a8_q <= shifted_a;
    shifted_b8_q <= shifted_b;
    exponent8_q <= exponent7_q + $signed(TermBits'({high, middle}));
    term8_q <= TermBits'(key7 >>> OctaveFrac);
    entry8_q <= exp2[key7[OctaveFrac-1:0]];

    a9_q <= shifted_a8_q[A_BITS:1] + A_BITS'(shifted_a8_q[0]);
    b9_q <= shifted_b8_q[B_BITS:1] + B_BITS'(shifted_b8_q[0]);
    weighted9_q <= weight8 * value8;
    weight9_q <= B_BITS'(weight8);
  end

  align_add #(
      .A_BITS(A_BITS),
      .B_BITS(B_BITS),
      .E_BITS(TermBits)
  ) u_state (
      .clk,
      .exponent(exponent8_q),
      .term(term8_q),
      .a(a9_q),
      .b(b9_q),
      .term_a(A_BITS'(weighted9_q)),
      .term_b(weight9_q),
      .sum_a,
      .sum_b,
      .sum_exponent(sum_e)
  );
  // b stays below 2**B_BITS (wkv.py, `state_format`), and a within its share of it.
  assign next_a = sum_a[A_BITS-1:0];
  assign next_b = sum_b[B_BITS-1:0];
  assign next_e = sum_e[E_BITS-1:0];

  // y = saturate(floor((2*n + d) / (2*d))), n the numerator on the output's grid. An unsigned output is a signed one of
  // one bit more, never below 0.
  localparam int DividendBits = A_BITS + 2 + Up;
  localparam int Q = OUT_BITS + (OUT_SIGNED != 0 ? 0 : 1);
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [DividendBits:0] doubled;
  /* verilator lint_on UNUSEDSIGNAL */
  logic signed [DividendBits-1:0] dividend11_q;
  logic signed [Q-1:0] quotient;

  assign doubled = ((DividendBits + 1)'(numerator10_q) <<< Up) + $signed((DividendBits + 1)'(divisor10_q));
  always_ff @(posedge clk) begin
    dividend11_q <= doubled[DividendBits:1];
    divisor11_q <= divisor10_q;
    y <= OUT_SIGNED == 0 && quotient[Q-1] ? '0 : quotient[OUT_BITS-1:0];
  end

  divider #(
      .DIVIDEND_BITS(DividendBits),
      .DIVISOR_BITS (B_BITS + 1),
      .QUOTIENT_BITS(Q)
  ) u_divider (
      .clk,
      .dividend(dividend11_q),
      .divisor (divisor11_q),
      .quotient
  );
endmodule
