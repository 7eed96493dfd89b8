// (sum_a, sum_b) * 2**sum_exponent = (a, b) * 2**exponent + (term_a, term_b) * 2**term, on the larger of the two
// exponents; the mantissas of the smaller one are shifted right, rounded half up (wkv.py, `_accumulate`).
//
// The exponents come in cycle 0, the mantissas in cycle 1, the sums are there in cycle 3. Stage 1 holds the exponents'
// distance, stage 2 the operands in order, stage 3 the aligned ones; the sum is combinational behind it.
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
  // A shift by A_BITS or more leaves nothing; all ones is such a shift.
  localparam int ShiftBits = $clog2(A_BITS + 1);

  logic signed [E_BITS-1:0] exponent_q, term_q, exponent2_q;
  logic [E_BITS-1:0] above_q, below_q, distance;
  logic [ShiftBits-1:0] shift_q;
  logic below;
  logic signed [A_BITS-1:0] large_a_q, small_a_q, large_a2_q;
  logic [B_BITS-1:0] large_b_q, small_b_q, large_b2_q;
  // The shifted operands keep one bit more: it rounds half up where the sum has a 1 beside it.
  logic signed [A_BITS:0] small_a, shifted_a_q;
  logic [B_BITS:0] shifted_b_q;
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [A_BITS+1:0] total_a;
  logic [B_BITS+1:0] total_b;
  /* verilator lint_on UNUSEDSIGNAL */

  assign below = above_q[E_BITS-1];
  assign distance = below ? below_q : above_q;
  assign small_a = {small_a_q, 1'b0};
  assign total_a = $signed({large_a2_q, 1'b1}) + shifted_a_q;
  assign total_b = {1'b0, large_b2_q, 1'b1} + {1'b0, shifted_b_q};
  assign sum_a = total_a[A_BITS+1:1];
  assign sum_b = total_b[B_BITS+1:1];

  always_ff @(posedge clk) begin
    above_q      <= exponent - term;
    below_q      <= term - exponent;
    exponent_q   <= exponent;
    term_q       <= term;

    exponent2_q  <= below ? term_q : exponent_q;
    shift_q      <= distance[E_BITS-1:ShiftBits] != '0 ? '1 : distance[ShiftBits-1:0];
    large_a_q    <= below ? term_a : a;
    large_b_q    <= below ? term_b : b;
    small_a_q    <= below ? a : term_a;
    small_b_q    <= below ? b : term_b;

    sum_exponent <= exponent2_q;
    large_a2_q   <= large_a_q;
    large_b2_q   <= large_b_q;
    shifted_a_q  <= small_a >>> shift_q;
    shifted_b_q  <= {small_b_q, 1'b0} >> shift_q;
  end
endmodule
