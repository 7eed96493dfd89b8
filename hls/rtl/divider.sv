// quotient = saturate(floor(dividend / divisor)), signed, QUOTIENT_BITS - 1 cycles later; the divisor is positive.
//
// Non-restoring division: every stage adds the divisor to a negative rest and subtracts it from another one, one LUT per
// bit. The quotient's bits are the rests' signs. A rest beyond the divisor is one of a dividend out of range: where it
// leaves its width that is remembered, where it stays inside the remaining bits are all the same by themselves.
module divider #(
    parameter int DIVIDEND_BITS = 35,
    parameter int DIVISOR_BITS  = 24,
    parameter int QUOTIENT_BITS = 10
) (
    input  logic                            clk,
    input  logic signed [DIVIDEND_BITS-1:0] dividend,
    input  logic        [ DIVISOR_BITS-1:0] divisor,
    output logic signed [QUOTIENT_BITS-1:0] quotient
);
  localparam int D = DIVISOR_BITS;
  localparam int Q = QUOTIENT_BITS;
  localparam int Spare = DIVIDEND_BITS > D + Q ? DIVIDEND_BITS - D - Q : 0;
  localparam int Wide = D + Q + Spare;

  logic signed [Wide-1:0] extended;
  assign extended = Wide'(dividend);

  for (genvar i = 0; i < Q; i++) begin : gen_stage
    // The rest, of D + 1 bits; then the dividend's bits that are still to come; then the quotient's bits so far.
    logic [D+Q-1:0] work;
    /* verilator lint_off UNUSEDSIGNAL */
    logic [D-1:0] by;  // of the last stage not read
    /* verilator lint_on UNUSEDSIGNAL */
    logic over;
    if (i == 0) begin : gen_first
      assign work = extended[D+Q-1:0];
      assign by   = divisor;
      assign over = extended[Wide-1:D+Q-1] != {Spare + 1{extended[Wide-1]}};
    end else begin : gen_next
      logic less;
      logic [D+2:0] rest;
      assign less = !gen_stage[i-1].work[D+Q-1];
      assign rest = {gen_stage[i-1].work[D+Q-1:Q-2], less} + {{2'b0, gen_stage[i-1].by} ^ {D + 2{less}}, less};
      always_ff @(posedge clk) begin
        by   <= gen_stage[i-1].by;
        over <= gen_stage[i-1].over || rest[D+2] != rest[D+1];
        work <= {rest[D+1:1], (Q - 1)'({gen_stage[i-1].work, less})};
      end
    end
  end

  // The first sign is the whole quotient's.
  logic [Q-1:0] bits;
  assign bits = {gen_stage[Q-1].work[Q-2:0], !gen_stage[Q-1].work[D+Q-1]};
  assign quotient = {!bits[Q-1], gen_stage[Q-1].over ? {Q - 1{bits[Q-1]}} : bits[Q-2:0]};
endmodule
