// 1/sqrt(n) ~ root * 2**-(16 + exponent), root in (2**15, 2**16], for n >= 1 (quant/ops/layernorm.py, `reciprocal_root`)
//
// Cycles after n: 1 leading zeros, 2 the mantissa m in [1, 4), 3 the table's seed s, 5 m*s, 7 m*s*s, 9 the root (a Newton
// step); a product's operands are registered the cycle before. A new n may come in every cycle, unless SHARED: then one
// multiplier makes all products, and the square of x besides; turn is x's, and those of cycles 3, 5 and 7. A wide x is
// squared apart: nothing else is negative, so that a multiplier of 18 x 18 bits is enough for the rest.
module reciprocal_root #(
    parameter int N_BITS    = 27,
    parameter int X_BITS    = 14,
    parameter int SHARED    = 1,
    parameter     SEED_FILE = ""
) (
    input  logic                       clk,
    input  logic        [         3:0] turn,
    input  logic signed [  X_BITS-1:0] x,
    output logic        [2*X_BITS-1:0] square,   // in the next cycle
    input  logic        [  N_BITS-1:0] n,
    output logic        [        16:0] root,
    output logic        [         4:0] exponent
);
  localparam int MantissaFrac = 16;
  localparam int SeedFrac = 15;
  localparam int IndexShift = 10;
  localparam int Seeds = 192;
  localparam int MantissaBits = MantissaFrac + 2;
  localparam int SeedBits = 16;
  localparam int Pairs = (N_BITS + 1) / 2;
  localparam int PairBits = Pairs > 1 ? $clog2(Pairs) : 1;

  // The highest 1 to the upper two bits, by an even shift: 4**exponent is taken out of n.
  /* verilator lint_off UNUSEDSIGNAL */
  logic [2*Pairs+MantissaBits-1:0] shifted;  // floored to the mantissa
  /* verilator lint_on UNUSEDSIGNAL */
  logic [N_BITS-1:0] n1_q;
  logic [2*Pairs-1:0] even;
  logic [Pairs-1:0] pair;
  logic [PairBits-1:0] zeros, zeros1_q;
  logic [MantissaBits-1:0] mantissa2_q, mantissa3_q;
  logic [4:0] exponent2_q;

  assign even = (2 * Pairs)'(n);
  for (genvar i = 0; i < Pairs; i++) begin : gen_pair
    assign pair[i] = even[2*i] || even[2*i+1];
  end
  leading_zeros #(
      .WIDTH(Pairs)
  ) u_zeros (
      .x(pair),
      .count(zeros),
      .empty()  // n >= 1
  );
  assign shifted = {(2 * Pairs)'(n1_q), {MantissaBits{1'b0}}} << {zeros1_q, 1'b0};

  // The table's seed and one Newton step: root = s * (3 - m * s * s) / 2.
  logic [15:0] seeds[Seeds];
  initial $readmemh(SEED_FILE, seeds);

  logic [7:0] entry;
  logic [15:0] seed3_q, seed4_q, seed5_q, seed6_q, seed7_q;
  logic [MantissaBits-1:0] first_q, second_q, correction;

  // The mantissa's upper bits are 64 to 255, the entries 0 to 191.
  assign entry = mantissa2_q[MantissaBits-1:IndexShift] - 8'd64;

  localparam int Wide = X_BITS > 17 ? 1 : 0;
  localparam int A = MantissaBits + (Wide != 0 ? 0 : 1);  // with a sign
  localparam int B = SeedBits + (Wide != 0 ? 0 : 1);
  localparam int P = A + B;
  logic [  A-1:0] x_a;
  logic [  B-1:0] x_b;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [4*P-1:0] products;  // floored
  /* verilator lint_on UNUSEDSIGNAL */
  take_turns #(
      .A_BITS(A),
      .B_BITS(B),
      .SIGNED(1 - Wide),
      .SHARED(SHARED)
  ) u_products (
      .clk,
      .turn,
      .a({A'(correction), A'(first_q), A'(mantissa3_q), x_a}),
      .b({B'(seed7_q), B'(seed5_q), B'(seed3_q), x_b}),
      .product(products)
  );
  assign correction = MantissaBits'(3 << SeedFrac) - second_q;
  if (Wide != 0) begin : gen_wide
    assign x_a = '0;
    assign x_b = '0;
    wide_square #(
        .BITS(X_BITS)
    ) u_square (
        .clk,
        .x,
        .square
    );
  end else begin : gen_narrow
    assign x_a = A'(x);
    assign x_b = B'(x);
    assign square = products[2*X_BITS-1:0];
  end

  always_ff @(posedge clk) begin
    n1_q        <= n;
    zeros1_q    <= zeros;
    mantissa2_q <= shifted[2*Pairs+MantissaBits-1-:MantissaBits];
    exponent2_q <= 5'(Pairs - 1) - 5'(zeros1_q);
    mantissa3_q <= mantissa2_q;
    seed3_q     <= seeds[entry];
    seed4_q     <= seed3_q;
    seed5_q     <= seed4_q;
    seed6_q     <= seed5_q;
    seed7_q     <= seed6_q;
    first_q     <= products[P+MantissaFrac+:MantissaBits];
    second_q    <= products[2*P+SeedFrac+:MantissaBits];
    root        <= products[3*P+SeedFrac+:17];
  end

  delay #(
      .WIDTH (5),
      .CYCLES(7)
  ) u_exponent (
      .clk,
      .x(exponent2_q),
      .y(exponent)
  );
endmodule
