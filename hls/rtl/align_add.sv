// (sum_a, sum_b) * 2**sum_exponent = (a, b) * 2**exponent + (term_a, term_b) * 2**term, on the larger of the two
// exponents; the mantissas of the smaller one are shifted right, rounded half up (wkv.py, `_accumulate`).
//
// The exponents come in cycle 0, the mantissas in cycle 1, the sums are there in cycle 3. Stage 1 holds the exponents'
// distance, stage 2 the smaller operand, shifted by the distance's lowest bit, stage 3 by the others. The larger one is
// chosen beside the adder: one LUT does both, and one does the choice and the first shift.
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
  // A shift by A_BITS - 1 or more leaves nothing: both mantissas have a sign to spare. All ones above the lowest bit is
  // such a shift.
  localparam int ShiftBits = $clog2(A_BITS + 1);

  logic signed [E_BITS-1:0] above_q, exponent_q, term_q, exponent2_q;
  logic below, below2_q, below3_q, far;
  logic [ShiftBits-1:0] distance;
  logic [ShiftBits-1:1] shift_q;
  logic signed [A_BITS-1:0] a2_q, a3_q, term_a2_q, term_a3_q;
  logic [B_BITS-1:0] b2_q, b3_q, term_b2_q, term_b3_q;
  // The shifted operands keep one bit more: it rounds half up where the sum has a 1 beside it.
  logic signed [A_BITS:0] small_a, small_a_q, shifted_a_q;
  logic [B_BITS:0] small_b, small_b_q, shifted_b_q;
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [A_BITS+1:0] total_a;
  logic [B_BITS+1:0] total_b;
  /* verilator lint_on UNUSEDSIGNAL */

  // A negative distance -n is n - 1 with its bits inverted; the operand to shift is there shifted by 1.
  assign below = above_q[E_BITS-1];
  assign distance = above_q[ShiftBits-1:0] ^ {ShiftBits{below}};
  assign far = above_q[E_BITS-1:ShiftBits] != {E_BITS - ShiftBits{below}};
  assign small_a = below ? {a[A_BITS-1], a} : {term_a, 1'b0};
  assign small_b = below ? {1'b0, b} : {term_b, 1'b0};

  assign total_a = shifted_a_q + $signed({below3_q ? term_a3_q : a3_q, 1'b1});
  assign total_b = {1'b0, shifted_b_q} + {1'b0, below3_q ? term_b3_q : b3_q, 1'b1};
  assign sum_a = total_a[A_BITS+1:1];
  assign sum_b = total_b[B_BITS+1:1];

  always_ff @(posedge clk) begin
    above_q <= exponent - term;
    exponent_q <= exponent;
    term_q <= term;

    exponent2_q <= below ? term_q : exponent_q;
    below2_q <= below;
    shift_q <= far ? '1 : distance[ShiftBits-1:1];
    small_a_q <= small_a >>> distance[0];
    small_b_q <= small_b >> distance[0];
    {a2_q, b2_q, term_a2_q, term_b2_q} <= {a, b, term_a, term_b};

    sum_exponent <= exponent2_q;
    below3_q <= below2_q;
    shifted_a_q <= small_a_q >>> {shift_q, 1'b0};
    shifted_b_q <= small_b_q >> {shift_q, 1'b0};
    {a3_q, b3_q, term_a3_q, term_b3_q} <= {a2_q, b2_q, term_a2_q, term_b2_q};
  end
endmodule
