// quotient = floor(dividend / divisor), QUOTIENT_BITS cycles later, for dividend < divisor * 2**QUOTIENT_BITS; all
// unsigned. Restoring division, one bit per stage: a subtraction that borrows is not kept.
module divider #(
    parameter int DIVISOR_BITS  = 24,
    parameter int QUOTIENT_BITS = 10
) (
    input  logic                                  clk,
    input  logic [DIVISOR_BITS+QUOTIENT_BITS-1:0] dividend,
    input  logic [              DIVISOR_BITS-1:0] divisor,
    output logic [             QUOTIENT_BITS-1:0] quotient
);
  localparam int D = DIVISOR_BITS;
  localparam int Q = QUOTIENT_BITS;

  for (genvar i = 0; i < Q; i++) begin : gen_stage
    // Of the last stage only the quotient is read.
    /* verilator lint_off UNUSEDSIGNAL */
    // The rest, then the dividend's bits that are still to come, then the quotient's bits so far.
    logic [D+Q-1:0] work, work_q;
    logic [D-1:0] by, by_q;
    /* verilator lint_on UNUSEDSIGNAL */
    logic [  D:0] less;  // its top bit is the borrow: the rest is below twice the divisor
    logic [D-1:0] rest;
    if (i == 0) begin : gen_first
      assign work = dividend;
      assign by   = divisor;
    end else begin : gen_next
      assign work = gen_stage[i-1].work_q;
      assign by   = gen_stage[i-1].by_q;
    end
    assign less = work[D+Q-1-:D+1] - {1'b0, by};
    assign rest = less[D] ? work[D+Q-2-:D] : less[D-1:0];
    always_ff @(posedge clk) begin
      by_q   <= by;
      work_q <= {rest, (work[Q-1:0] << 1) | Q'(!less[D])};
    end
  end

  assign quotient = gen_stage[Q-1].work_q[Q-1:0];
endmodule
