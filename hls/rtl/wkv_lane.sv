// One lane of the WKV: the datapath of wkv.sv, running freely. The number in a register's name is the cycle, counted
// from the accepted beat, in which it holds that beat's value.
//
//   1 k, v;  2, 3 the key in base 2;  4 plus bonus;  5, 6 table, state;  7 weight * v;  8 .. 10 aligned;  11 numerator, divisor
//   7, 8 state * decay;  9 shifted;  10 rounded, weight * v;  11 .. 13 aligned, and the sum: next state
//   12 .. 13 + K the quotient (divider.sv)
module wkv_lane #(
    parameter int K_BITS        = 8,
    parameter int V_BITS        = 8,
    parameter int V_FRAC        = 4,
    parameter int V_SIGNED      = 1,
    parameter int OUT_BITS      = 10,
    parameter int OUT_FRAC      = 6,
    parameter int OUT_SIGNED    = 1,
    parameter int KEY_BITS      = 17,
    parameter int A_BITS        = 31,
    parameter int B_BITS        = 23,
    parameter int E_BITS        = 8,
    parameter int EMPTY         = -65,
    parameter int HALVINGS_BITS = 6,
    parameter int WIDE          = 25,
    parameter     KEY_FILE      = "",
    parameter     EXP2_FILE     = ""
) (
    input logic clk,
    input logic [K_BITS-1:0] k,  // cycle 0
    input logic [V_BITS-1:0] v,
    input logic signed [15:0] bonus,  // cycle 3
    input logic [HALVINGS_BITS+15:0] decay,  // cycle 5: its halvings, and its mantissa below the highest bit, a 1
    input logic first,
    input logic signed [A_BITS-1:0] read_a,
    input logic [B_BITS-1:0] read_b,
    input logic signed [E_BITS-1:0] read_e,
    output logic signed [A_BITS-1:0] next_a,  // cycle 13
    output logic [B_BITS-1:0] next_b,
    output logic signed [E_BITS-1:0] next_e,
    output logic [OUT_BITS-1:0] y  // cycle 13 + K
);
  // As in quant/ops/wkv.py.
  localparam int MantissaBits = 22;
  localparam int TableFrac = 14;
  localparam int OctaveFrac = 10;
  localparam int DecayBits = 17;

  // An unsigned v gets a sign. A product's register has its bits and no more: of copies of a sign that a DSP block's
  // register holds, Yosys leaves all but one without a driver.
  localparam int VW = V_BITS + 1;
  localparam int SumBits = E_BITS + OctaveFrac;
  localparam int WeightBits = MantissaBits;
  // The exponent of a state without a token: no higher than any term's.
  localparam logic signed [E_BITS-1:0] Empty = E_BITS'(EMPTY);

  // Keys in base 2, less the bits of a term's mantissa, by the bits of k; and 2**f of both sums' fractions.
  (* ram_style = "block" *) logic [KEY_BITS-1:0] keys[2**K_BITS];
  (* ram_style = "block" *) logic [TableFrac:0] exp2[2**OctaveFrac];
  initial $readmemh(KEY_FILE, keys);
  initial $readmemh(EXP2_FILE, exp2);

  // Not all of their bits are of use: signs that are known, bits below a rounding, room that a state never takes.
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [WeightBits+VW:0] weighted7_q, weighted10_q;
  logic signed [A_BITS+DecayBits:0] product_a8;
  logic signed [B_BITS+DecayBits+1:0] product_b8;
  logic signed [A_BITS:0] sum_a;
  logic [B_BITS:0] sum_b;
  /* verilator lint_on UNUSEDSIGNAL */

  // The key in base 2, and its value.
  logic [K_BITS-1:0] key1_q;
  logic signed [VW-1:0] value1_q, value6, value9;
  logic [K_BITS-1:0] key6;
  logic signed [KEY_BITS-1:0] key2_q, key3_q, key7_q, key8_q;
  logic signed [SumBits-1:0] sum4_q, sum5_q;

  always_ff @(posedge clk) begin
    key1_q   <= k;
    value1_q <= {V_SIGNED != 0 && v[V_BITS-1], v};
    key2_q   <= keys[key1_q];
    key3_q   <= key2_q;
    key7_q   <= keys[key6];
    key8_q   <= key7_q;
    sum4_q   <= SumBits'(key3_q) + SumBits'(bonus);
    sum5_q   <= sum4_q;
  end

  delay #(
      .WIDTH (VW),
      .CYCLES(5)
  ) u_value6 (
      .clk,
      .x(value1_q),
      .y(value6)
  );
  delay #(
      .WIDTH (VW),
      .CYCLES(3)
  ) u_value9 (
      .clk,
      .x(value6),
      .y(value9)
  );
  delay #(
      .WIDTH (K_BITS),
      .CYCLES(5)
  ) u_key6 (
      .clk,
      .x(key1_q),
      .y(key6)
  );

  // The state, and the sums with the bonus.
  logic signed [A_BITS-1:0] a6_q, a7_q;
  logic [B_BITS-1:0] b6_q, b7_q, weight7_q;
  logic signed [E_BITS-1:0] e6_q, term6_q, unused_exponent;
  logic [DecayBits-1:0] decay6_q;
  logic [HALVINGS_BITS-1:0] halvings6_q;
  logic first6_q;
  logic [TableFrac:0] entry5_q, entry6_q, entry8_q, entry9_q;
  logic signed [WeightBits:0] weight6;
  logic signed [A_BITS:0] numerator, numerator11_q;
  logic [B_BITS:0] divisor, divisor11_q;

  assign weight6 = {1'b0, entry6_q, {MantissaBits - 1 - TableFrac{1'b0}}};
  always_ff @(posedge clk) begin
    entry5_q      <= exp2[sum4_q[OctaveFrac-1:0]];
    entry6_q      <= entry5_q;
    term6_q       <= E_BITS'(sum5_q >>> OctaveFrac);
    a6_q          <= first ? '0 : read_a;
    b6_q          <= first ? '0 : read_b;
    e6_q          <= first ? Empty : read_e;
    halvings6_q   <= decay[HALVINGS_BITS+15:16];
    decay6_q      <= {1'b1, decay[15:0]};
    first6_q      <= first;
    a7_q          <= a6_q;
    b7_q          <= b6_q;
    weighted7_q   <= weight6 * value6;
    weight7_q     <= B_BITS'(weight6);
    numerator11_q <= numerator;
    divisor11_q   <= divisor;
  end

  align_add #(
      .A_BITS(A_BITS),
      .B_BITS(B_BITS),
      .E_BITS(E_BITS)
  ) u_mean (
      .clk,
      .exponent(e6_q),
      .term(term6_q),
      .a(a7_q),
      .b(b7_q),
      .term_a(A_BITS'(weighted7_q)),
      .term_b(weight7_q),
      .sum_a(numerator),
      .sum_b(divisor),
      .sum_exponent(unused_exponent)
  );

  // The state times decay, normalised in full: shifted until the denominator has MantissaBits bits, rounded half up. A
  // denominator has MantissaBits or one more, the decay's mantissa has all its bits: their product has at
  // most two leading zeros, of which `high` and `middle` tell.
  localparam int Down = DecayBits - 1;  // the shift where there are two
  localparam int High = B_BITS + DecayBits - 1;
  logic high, middle;
  logic signed [A_BITS:0] shifted_a, shifted_a9_q;  // and one bit to round by
  logic [B_BITS:0] shifted_b, shifted_b9_q;
  logic signed [A_BITS-1:0] a10_q;
  logic [B_BITS-1:0] b10_q, weight10_q;
  logic signed [E_BITS-1:0] exponent7_q, exponent8_q, exponent9_q, term9_q;
  logic signed [WeightBits:0] weight9;

  multiply #(
      .A_BITS(A_BITS),
      .B_BITS(DecayBits + 1),
      .WIDE  (WIDE)
  ) u_decay_a (
      .clk,
      .a(a6_q),
      .b($signed({1'b0, decay6_q})),
      .c('0),
      .product(product_a8)
  );
  multiply #(
      .A_BITS(B_BITS + 1),
      .B_BITS(DecayBits + 1),
      .WIDE  (WIDE)
  ) u_decay_b (
      .clk,
      .a($signed({1'b0, b6_q})),
      .b($signed({1'b0, decay6_q})),
      .c('0),
      .product(product_b8)
  );

  assign high   = product_b8[High];
  assign middle = !high && product_b8[High-1];
  // The numerator's product has one bit less than its width, as a DSP block's adder has: its highest bit is never read.
  mux4 #(
      .WIDTH(A_BITS + 1)
  ) u_shifted_a (
      .s({high, middle}),
      .x({
        {product_a8[Down+A_BITS], product_a8[Down+1+:A_BITS]},
        {product_a8[Down+A_BITS], product_a8[Down+1+:A_BITS]},
        product_a8[Down+:A_BITS+1],
        product_a8[Down-1+:A_BITS+1]
      }),
      .y(shifted_a)
  );
  mux4 #(
      .WIDTH(B_BITS + 1)
  ) u_shifted_b (
      .s({high, middle}),
      .x({
        product_b8[Down+1+:B_BITS+1],
        product_b8[Down+1+:B_BITS+1],
        product_b8[Down+:B_BITS+1],
        product_b8[Down-1+:B_BITS+1]
      }),
      .y(shifted_b)
  );
  assign weight9 = {1'b0, entry9_q, {MantissaBits - 1 - TableFrac{1'b0}}};
  always_ff @(posedge clk) begin
    // The mantissa is in [1, 2): that of a product shifted by Down has the state's exponent, less the halvings.
    exponent7_q <= first6_q ? Empty : e6_q - $signed(E_BITS'(halvings6_q));
    exponent8_q <= exponent7_q;

    shifted_a9_q <= shifted_a;
    shifted_b9_q <= shifted_b;
    exponent9_q <= exponent8_q + $signed(E_BITS'({high, middle}));
    term9_q <= E_BITS'(key8_q >>> OctaveFrac);
    entry8_q <= exp2[key7_q[OctaveFrac-1:0]];
    entry9_q <= entry8_q;

    a10_q <= shifted_a9_q[A_BITS:1] + A_BITS'(shifted_a9_q[0]);
    b10_q <= shifted_b9_q[B_BITS:1] + B_BITS'(shifted_b9_q[0]);
    weighted10_q <= weight9 * value9;
    weight10_q <= B_BITS'(weight9);
  end

  align_add #(
      .A_BITS(A_BITS),
      .B_BITS(B_BITS),
      .E_BITS(E_BITS)
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
      .sum_exponent(next_e)
  );
  // b stays below 2**B_BITS (wkv.py, `state_format`), and a within its share of it.
  assign next_a = sum_a[A_BITS-1:0];
  assign next_b = sum_b[B_BITS-1:0];

  // A mean of values is no larger than they are.
  divider #(
      .NUMERATOR_BITS(A_BITS + 1),
      .DIVISOR_BITS  (B_BITS + 1),
      .UP            (OUT_FRAC - V_FRAC),
      .REACH         (V_BITS - (V_SIGNED != 0 ? 1 : 0)),
      .OUT_BITS      (OUT_BITS),
      .OUT_SIGNED    (OUT_SIGNED),
      .WIDE          (WIDE)
  ) u_divider (
      .clk,
      .n(numerator11_q),
      .d(divisor11_q),
      .quotient(y)
  );
endmodule
