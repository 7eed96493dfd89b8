// PE rows of multiply-accumulate over SIMD inputs, and the word of WORD sums that is sent from, LANES a beat.
//
// Inputs and weights come in cycle 0; stage 1 holds the products, stage 2 their sums over SIMD, stage 3 the accumulators:
// `step`, `first`, `last` and `group` say in cycle 2 whether the products count, which of a row they are, and which PE
// rows of the word. `load` takes the word when its last sum is in stage 3; beat `send` of it is out two cycles after
// `issue`. The target's multipliers have WIDE x NARROW bits, signed (DSP48E1: 25 x 18, ECP5: 18 x 18).
module mac_array #(
    parameter int LANES       = 1,
    parameter int SIMD        = 1,
    parameter int PE          = 8,
    parameter int WORD        = 8,
    parameter int X_BITS      = 8,
    parameter int X_SIGNED    = 1,
    parameter int WEIGHT_BITS = 8,
    parameter int SUM_BITS    = 22,
    parameter int WIDE        = 25,
    parameter int NARROW      = 18,
    parameter int GROUP_BITS  = WORD / PE > 1 ? $clog2(WORD / PE) : 1,
    parameter int SEND_BITS   = WORD / LANES > 1 ? $clog2(WORD / LANES) : 1
) (
    input  logic                           clk,
    input  logic [        SIMD*X_BITS-1:0] x,
    input  logic [SIMD*PE*WEIGHT_BITS-1:0] weight,
    input  logic                           step,
    input  logic                           first,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic                           last,    // of use where a word has several rows
    input  logic [         GROUP_BITS-1:0] group,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic                           load,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic                           issue,   // of use where two rows share an accumulator
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic [          SEND_BITS-1:0] send,
    output logic [     LANES*SUM_BITS-1:0] sum
);
  localparam int Groups = WORD / PE;

  // Two rows share an accumulator inside a multiplier where inputs and sums go one by one, and a field holds a product.
  localparam bit Paired = LANES == 1 && Groups == 1 && PE % 2 == 0 && WEIGHT_BITS > 4 && X_BITS > 1 && X_BITS < NARROW
      && WEIGHT_BITS + X_BITS - (X_SIGNED != 0 ? 1 : 0) < WIDE - WEIGHT_BITS && SUM_BITS > WIDE - WEIGHT_BITS;

  logic [ WORD*SUM_BITS-1:0] result;
  logic [ WORD*SUM_BITS-1:0] send_q;
  logic [LANES*SUM_BITS-1:0] sent;

  if (Paired) begin : gen_paired
    for (genvar p = 0; p < PE; p = p + 2) begin : gen_pair
      mac_pair #(
          .X_BITS     (X_BITS),
          .X_SIGNED   (X_SIGNED),
          .WEIGHT_BITS(WEIGHT_BITS),
          .SUM_BITS   (SUM_BITS),
          .WIDE       (WIDE)
      ) u_mac (
          .clk,
          .x     (x),
          .weight(weight[p*WEIGHT_BITS+:2*WEIGHT_BITS]),
          .step  (step),
          .first (first),
          .low   (result[p*SUM_BITS+:SUM_BITS]),
          .high  (result[(p+1)*SUM_BITS+:SUM_BITS])
      );
    end
  end else begin : gen_apart
    logic [PE*SUM_BITS-1:0] sums_q;
    logic [PE-1:0] carries_q;

    products #(
        .PE         (PE),
        .SIMD       (SIMD),
        .X_BITS     (X_BITS),
        .X_SIGNED   (X_SIGNED),
        .WEIGHT_BITS(WEIGHT_BITS),
        .SUM_BITS   (SUM_BITS),
        .WIDE       (WIDE),
        .NARROW     (NARROW)
    ) u_products (
        .clk,
        .x     (x),
        .weight(weight),
        .sum   (sums_q),
        .carry (carries_q)
    );

    for (genvar p = 0; p < PE; p++) begin : gen_output
      // sum + carry + accumulator. As a difference, with the carry as a borrow: an adder whose first operand is a mere
      // wire takes one LUT a bit, and the order of a sum's operands is the synthesiser's.
      logic [SUM_BITS-1:0] accumulator_q, next;
      logic unused_borrow;
      assign {next, unused_borrow} = {sums_q[p*SUM_BITS+:SUM_BITS], carries_q[p]} - {first ? '1 : ~accumulator_q, 1'b1};
      always_ff @(posedge clk) if (step) accumulator_q <= next;

      if (Groups == 1) begin : gen_whole
        assign result[p*SUM_BITS+:SUM_BITS] = accumulator_q;
      end else begin : gen_groups
        for (genvar g = 0; g < Groups; g++) begin : gen_group
          logic [SUM_BITS-1:0] collected_q;
          always_ff @(posedge clk) begin
            if (step && last && group == GROUP_BITS'(g)) collected_q <= next;
          end
          assign result[(g*PE+p)*SUM_BITS+:SUM_BITS] = collected_q;
        end
      end
    end
  end

  always_ff @(posedge clk) if (load) send_q <= result;

  chunked_mux #(
      .WORDS(WORD / LANES),
      .WIDTH(LANES * SUM_BITS)
  ) u_sent (
      .clk,
      .s(send),
      .x(send_q),
      .y(sent)
  );
  if (Paired) begin : gen_second
    // The second sum of a pair holds what the first one had above its field.
    localparam int Above = SUM_BITS - (WIDE - WEIGHT_BITS);
    logic signed [Above-1:0] above_q;
    logic issue_q, second_q;
    always_ff @(posedge clk) begin
      issue_q <= issue;
      second_q <= send[0];
      sum <= sent - (second_q ? SUM_BITS'(above_q) : '0);
      if (issue_q) above_q <= sent[SUM_BITS-1-:Above];
    end
  end else begin : gen_sum
    always_ff @(posedge clk) sum <= sent;
  end
endmodule
