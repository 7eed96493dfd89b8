// (sum_a, sum_b) * 2**sum_exponent = (a, b) * 2**exponent + (term_a, term_b) * 2**term, on the larger of the two
// exponents; the mantissas of the smaller one are shifted right, rounded half up (wkv.py, `_accumulate`).
//
// The exponents come in cycle 0, the mantissas in cycle 1; the sums are there in cycle 4. Stage 1 holds the exponents'
// distance; stages 2 to 4 the smaller operand, shifted by one bit of the distance, by the upper ones, by the other two:
// one LUT per bit and stage. The larger one is what the other one's reset leaves of both: it is chosen in the adder.
module align_add #(
    parameter int A_BITS = 31,
    parameter int B_BITS = 23,
    parameter int E_BITS = 14
) (
    input  logic                     clk,
    input  logic signed [E_BITS-1:0] exponent,
    input  logic signed [E_BITS-1:0] term,
    input  logic signed [A_BITS-1:0] a,
    input  logic        [B_BITS-1:0] b,
    input  logic signed [A_BITS-1:0] term_a,
    input  logic        [B_BITS-1:0] term_b,
    output logic signed [  A_BITS:0] sum_a,
    output logic        [  B_BITS:0] sum_b,
    output logic signed [E_BITS-1:0] sum_exponent
);
  // A shift by A_BITS - 1 or more leaves nothing, as both mantissas have a sign to spare; all ones above the lowest bit
  // is such a shift.
  localparam int ShiftBits = $clog2(A_BITS + 1);

  logic signed [E_BITS-1:0] above_q, exponent_q, term_q, exponent2_q, term2_q, exponent3_q;
  logic below, below2_q, far;
  logic [ShiftBits-1:0] distance;
  logic [ShiftBits-1:1] shift2_q;
  logic [2:1] shift3_q;
  logic signed [A_BITS-1:0] a2_q, a3_q, a4_q, term_a2_q, term_a3_q, term_a4_q;
  logic [B_BITS-1:0] b2_q, b3_q, b4_q, term_b2_q, term_b3_q, term_b4_q;
  // The shifted operands keep one bit more: it rounds half up where the sum has a 1 beside it.
  logic signed [A_BITS:0] under_a, over_a, far_a, small_a, coarse_a, fine_a, small_a2_q, small_a3_q, small_a4_q;
  logic [B_BITS:0] under_b, over_b, far_b, small_b, coarse_b, fine_b, small_b2_q, small_b3_q, small_b4_q;
  logic signed [A_BITS+1:0] large_a;
  logic [B_BITS+1:0] large_b;
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [A_BITS+1:0] total_a;
  logic [B_BITS+1:0] total_b;
  /* verilator lint_on UNUSEDSIGNAL */

  // A negative distance -n is n - 1 with its bits inverted; the operand to shift is there shifted by 1.
  assign below = above_q[E_BITS-1];
  assign distance = above_q[ShiftBits-1:0] ^ {ShiftBits{below}};
  assign far = above_q[E_BITS-1:ShiftBits] != {E_BITS - ShiftBits{below}};
  assign under_a = {a[A_BITS-1], a};
  assign over_a = {term_a, 1'b0};
  assign under_b = {1'b0, b};
  assign over_b = {term_b, 1'b0};
  if (ShiftBits > 5) begin : gen_far
    assign far_a = small_a2_q >>> {shift2_q[ShiftBits-1:5], 5'd0};
    assign far_b = small_b2_q >> {shift2_q[ShiftBits-1:5], 5'd0};
  end else begin : gen_near
    assign far_a = small_a2_q;
    assign far_b = small_b2_q;
  end
  mux4 #(
      .WIDTH(A_BITS + 1)
  ) u_small_a (
      .s({below, distance[0]}),
      .x({under_a >>> 1, under_a, over_a >>> 1, over_a}),
      .y(small_a)
  );
  mux4 #(
      .WIDTH(A_BITS + 1)
  ) u_coarse_a (
      .s(shift2_q[4:3]),
      .x({far_a >>> 24, far_a >>> 16, far_a >>> 8, far_a}),
      .y(coarse_a)
  );
  mux4 #(
      .WIDTH(A_BITS + 1)
  ) u_fine_a (
      .s(shift3_q),
      .x({small_a3_q >>> 6, small_a3_q >>> 4, small_a3_q >>> 2, small_a3_q}),
      .y(fine_a)
  );
  mux4 #(
      .WIDTH(B_BITS + 1)
  ) u_small_b (
      .s({below, distance[0]}),
      .x({under_b >> 1, under_b, over_b >> 1, over_b}),
      .y(small_b)
  );
  mux4 #(
      .WIDTH(B_BITS + 1)
  ) u_coarse_b (
      .s(shift2_q[4:3]),
      .x({far_b >> 24, far_b >> 16, far_b >> 8, far_b}),
      .y(coarse_b)
  );
  mux4 #(
      .WIDTH(B_BITS + 1)
  ) u_fine_b (
      .s(shift3_q),
      .x({small_b3_q >> 6, small_b3_q >> 4, small_b3_q >> 2, small_b3_q}),
      .y(fine_b)
  );

  // x - ~y is x + y + 1; a carry chain takes y through its LUT alone, so the choice costs nothing there.
  assign large_a = (A_BITS + 2)'($signed({a4_q | term_a4_q, 1'b0}));
  assign large_b = {1'b0, b4_q | term_b4_q, 1'b0};
  assign total_a = (A_BITS + 2)'(small_a4_q) - ~large_a;
  assign total_b = {1'b0, small_b4_q} - ~large_b;
  assign sum_a   = total_a[A_BITS+1:1];
  assign sum_b   = total_b[B_BITS+1:1];

  always_ff @(posedge clk) begin
    above_q <= exponent - term;
    exponent_q <= exponent;
    term_q <= term;

    exponent2_q <= exponent_q;
    term2_q <= term_q;
    below2_q <= below;
    shift2_q <= far ? '1 : distance[ShiftBits-1:1];
    small_a2_q <= small_a;
    small_b2_q <= small_b;
    {a2_q, b2_q, term_a2_q, term_b2_q} <= {a, b, term_a, term_b};

    exponent3_q <= below2_q ? term2_q : exponent2_q;
    shift3_q <= shift2_q[2:1];
    small_a3_q <= coarse_a;
    small_b3_q <= coarse_b;
    {a3_q, b3_q} <= below2_q ? '0 : {a2_q, b2_q};
    {term_a3_q, term_b3_q} <= below2_q ? {term_a2_q, term_b2_q} : '0;

    sum_exponent <= exponent3_q;
    small_a4_q <= fine_a;
    small_b4_q <= fine_b;
    {a4_q, b4_q, term_a4_q, term_b4_q} <= {a3_q, b3_q, term_a3_q, term_b3_q};
  end
endmodule
