// quotient = saturate(floor(2**UP * n / d + 1/2)), where |n / d| <= 1.1 * 2**REACH and 2**(D-3) <= d < 3/4 * 2**D
//
// An odd S with |2 * 2**UP * n / d - S| < 2 leaves two quotients, (S - 1) / 2 and one more; the sign of the exact remainder
// 2 * 2**UP * n - S * d tells which. S has K digits of +1 and -1, found by non-restoring division of a few upper bits: stage
// j adds the divisor to a negative rest and subtracts it from another one, one LUT per bit. Its divisor is made of the
// bits from Cut on, less one for each stage after `Exact`, and a 1 below them for the mean of all others. So the last rest
// is off by less than d: 1.1 * 2**(K-1) * 2**(Cut-1) / 2**(D-3) = 0.55, and at most 2**-Exact for each stage that drops a
// bit, 0.45 in all. The remainder takes one multiplication.
module divider #(
    parameter int NUMERATOR_BITS = 32,
    parameter int DIVISOR_BITS   = 24,
    parameter int UP             = 2,
    parameter int REACH          = 7,
    parameter int OUT_BITS       = 10,
    parameter int OUT_SIGNED     = 1,
    parameter int WIDE           = 25
) (
    input  logic                             clk,
    input  logic signed [NUMERATOR_BITS-1:0] n,
    input  logic        [  DIVISOR_BITS-1:0] d,
    output logic        [      OUT_BITS-1:0] quotient  // K + 2 cycles later
);
  localparam int D = DIVISOR_BITS;
  localparam int K = REACH + UP + 2;
  localparam int Cut = D - 2 - K;
  localparam int Exact = K > 12 ? 5 : 4;
  localparam int RestBits = D - Cut + 2;  // in units of half a bit of Cut, with a sign
  localparam int Point = D - 4 - UP;  // the numerator's bit of that unit in the first rest

  for (genvar j = 0; j < K; j++) begin : gen_stage
    localparam int Drop = j > Exact ? j - Exact : 0;
    /* verilator lint_off UNUSEDSIGNAL */
    logic signed [NUMERATOR_BITS-1:0] numerator;
    logic [D-1:0] divisor;
    logic signed [RestBits-1:Drop] rest;
    /* verilator lint_on UNUSEDSIGNAL */
    logic [j:0] signs;  // of the rests so far
    if (j == 0) begin : gen_first
      assign numerator = n;
      assign divisor = d;
      assign rest = RestBits'(n >>> Point);
      assign signs = n[NUMERATOR_BITS-1];
    end else begin : gen_next
      logic add;
      logic [RestBits-1:Drop] twice, sum;
      assign add = gen_stage[j-1].signs[0];
      if (Drop == 0) begin : gen_exact
        assign twice = {gen_stage[j-1].rest[RestBits-2:0], Point >= j && gen_stage[j-1].numerator[Point-j]};
      end else begin : gen_drop
        assign twice = gen_stage[j-1].rest[RestBits-2:Drop-1];
      end
      // As a difference: an adder whose first operand is a mere wire takes one LUT a bit, and the order of a sum's
      // operands is the synthesiser's.
      assign sum = twice - {add, gen_stage[j-1].divisor[D-1:Cut+Drop] ^ {D - Cut - Drop{add}}, 1'b1};
      always_ff @(posedge clk) begin
        numerator <= gen_stage[j-1].numerator;
        divisor   <= gen_stage[j-1].divisor;
        rest      <= sum;
        signs     <= {gen_stage[j-1].signs, sum[RestBits-1]};
      end
    end
  end

  // S * d is taken off the numerator: S is 2 * digits - (2**K - 1), and -S the same of all digits inverted, which the
  // signs are. Saturated before the last bit is known, the quotient is that plus one, or saturated already.
  localparam int RemainderBits = D + 2;
  localparam int Reach = (K > OUT_BITS ? K : OUT_BITS) + 1;
  localparam int Magnitude = OUT_SIGNED != 0 ? OUT_BITS - 1 : OUT_BITS;
  localparam logic [OUT_BITS-1:0] High = OUT_BITS'({Magnitude{1'b1}});
  localparam logic [OUT_BITS-1:0] Low = OUT_SIGNED != 0 ? ~High : '0;
  logic [K-1:0] signs;
  logic signed [Reach-1:0] lower;  // (S - 1) / 2
  logic signed [RemainderBits-1:0] numerator1_q;
  logic [OUT_BITS-1:0] lower1_q, lower2_q;
  logic outside, full1_q, full2_q;
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [D+K+1:0] remainder2;  // of use is its sign alone
  /* verilator lint_on UNUSEDSIGNAL */

  assign signs   = gen_stage[K-1].signs;
  assign lower   = Reach'($signed({signs[K-1], ~signs[K-2:0]}));
  assign outside = lower[Reach-1:Magnitude] != {Reach - Magnitude{OUT_SIGNED != 0 && lower[Reach-1]}};

  multiply #(
      .A_BITS(D + 1),
      .B_BITS(K + 1),
      .WIDE  (WIDE)
  ) u_remainder (
      .clk,
      .a($signed({1'b0, gen_stage[K-1].divisor})),
      .b($signed({!signs[K-1], signs[K-2:0], 1'b1})),
      .c((D + K + 2)'(numerator1_q)),
      .product(remainder2)
  );
  always_ff @(posedge clk) begin
    numerator1_q <= RemainderBits'(gen_stage[K-1].numerator) <<< (UP + 1);
    lower1_q     <= !outside ? lower[OUT_BITS-1:0] : lower[Reach-1] ? Low : High;
    full1_q      <= outside;
    lower2_q     <= lower1_q;
    full2_q      <= full1_q || lower1_q == High;
    quotient     <= lower2_q + OUT_BITS'(!full2_q && !remainder2[RemainderBits-1]);
  end
endmodule
