// sum[p] + carry[p] = W[p] x: exact products of PE rows of weights and SIMD inputs. The carry is one for the adder that
// follows. Weights are symmetric: never -2**(WEIGHT_BITS-1).
//
// Stage 1 holds the products, stage 2 their sums over SIMD. A multiplier of WIDE x NARROW bits serves Pack rows:
// (w0 + w1*2**Pitch + ...) * x has a field of Pitch bits for each. Field i+1 lacks what sum i has above its own field:
// a borrow, where the sum fits its field and is negative. Where it is wider by Overlap bits, they lie under field i+1,
// and are what that shows less the true low bits of sum i+1, which are computed apart; more than one bit costs adders.
// Ternary weights and inputs of one bit need no multiplier.
module products #(
    parameter int PE          = 8,
    parameter int SIMD        = 1,
    parameter int X_BITS      = 8,
    parameter int X_SIGNED    = 1,
    parameter int WEIGHT_BITS = 8,
    parameter int SUM_BITS    = 22,
    parameter int WIDE        = 25,
    parameter int NARROW      = 18,
    parameter int MAX_OVERLAP = 1
) (
    input  logic                           clk,
    input  logic [        SIMD*X_BITS-1:0] x,
    input  logic [SIMD*PE*WEIGHT_BITS-1:0] weight,  // row p, input s at [(p*SIMD+s)*WEIGHT_BITS+:WEIGHT_BITS]
    output logic [        PE*SUM_BITS-1:0] sum,
    output logic [                 PE-1:0] carry
);
  localparam int XW = X_BITS + 1;  // an unsigned x gets a sign
  localparam int Reach = WEIGHT_BITS + X_BITS - (X_SIGNED != 0 ? 1 : 0) + $clog2(SIMD);  // bits of a sum
  localparam bit Lut = WEIGHT_BITS == 2 || X_BITS == 1;

  // As many rows as the wide operand has room for, as far apart as it has room for.
  localparam int Shared = 1 + (WIDE - WEIGHT_BITS) / (Reach - MAX_OVERLAP);
  localparam int Pack = Lut || X_BITS >= NARROW ? 1 : Shared < PE ? Shared : PE;
  localparam int Room = Pack > 1 ? (WIDE - WEIGHT_BITS) / (Pack - 1) : Reach;
  localparam int Pitch = Room < Reach ? Room : Reach;
  localparam int Overlap = Reach - Pitch;
  localparam int Above = Overlap > 0 ? Overlap : 1;  // bits of a sum above its field, or its sign
  localparam int WideBits = (Pack - 1) * Pitch + WEIGHT_BITS;
  localparam int TotalBits = (Pack - 1) * Pitch + Reach;

  for (genvar g = 0; g < PE; g = g + Pack) begin : gen_pack
    localparam int Rows = PE - g < Pack ? PE - g : Pack;
    logic [SIMD*TotalBits-1:0] products_q;
    logic signed [TotalBits-1:0] total;
    /* verilator lint_off UNUSEDSIGNAL */
    logic signed [TotalBits-1:0] total_q;  // the last rows may be fewer than share a product
    /* verilator lint_on UNUSEDSIGNAL */

    for (genvar s = 0; s < SIMD; s++) begin : gen_input
      /* verilator lint_off UNUSEDSIGNAL */
      logic signed [XW-1:0] value;  // of use where it has more than one bit
      /* verilator lint_on UNUSEDSIGNAL */
      logic signed [TotalBits-1:0] product_q;
      assign value = {X_SIGNED != 0 && x[s*X_BITS+X_BITS-1], x[s*X_BITS+:X_BITS]};
      assign products_q[s*TotalBits+:TotalBits] = product_q;

      if (X_BITS == 1) begin : gen_select
        logic signed [WEIGHT_BITS-1:0] w;
        assign w = weight[(g*SIMD+s)*WEIGHT_BITS+:WEIGHT_BITS];
        always_ff @(posedge clk) product_q <= x[s] ? TotalBits'(w) : '0;
      end else if (WEIGHT_BITS == 2) begin : gen_add
        logic nonzero, negative;
        logic signed [XW:0] magnitude;  // of the weight, times x: all its bits turn with the sign, and one is added
        assign {negative, nonzero} = weight[(g*SIMD+s)*2+:2];
        assign magnitude = nonzero ? (XW + 1)'(value) : '0;
        always_ff @(posedge clk) product_q <= $signed(magnitude ^ {(XW + 1) {negative}}) + $signed({1'b0, negative});
      end else begin : gen_multiplier
        logic signed [WideBits-1:0] wide;
        always_comb begin
          wide = '0;
          for (int i = 0; i < Rows; i++) begin
            wide = wide + (WideBits'($signed(weight[((g+i)*SIMD+s)*WEIGHT_BITS+:WEIGHT_BITS])) <<< (i * Pitch));
          end
        end
        always_ff @(posedge clk) product_q <= TotalBits'(wide * value);
      end
    end

    always_comb begin
      total = '0;
      for (int s = 0; s < SIMD; s++) total = total + $signed(products_q[s*TotalBits+:TotalBits]);
    end
    always_ff @(posedge clk) total_q <= total;

    // above[i]: the bits of sum i above its field, which field i+1 has got as a borrow.
    /* verilator lint_off UNUSEDSIGNAL */
    logic [Rows*Above-1:0] above;
    /* verilator lint_on UNUSEDSIGNAL */

    for (genvar i = 0; i < Rows; i++) begin : gen_row
      logic signed [Reach-1:0] field;  // its sum and the borrow
      if (Overlap <= 0) begin : gen_apart
        assign field = total_q[i*Pitch+:Reach];
        assign above[i] = field[Reach-1];
      end else if (i == Rows - 1) begin : gen_top
        assign field = total_q[i*Pitch+:Reach];
        assign above[i*Above+:Above] = field[Reach-1-:Above];
      end else begin : gen_overlapped
        logic [SIMD*Overlap-1:0] lows_q;
        logic [Overlap-1:0] low, low_q;  // the true low bits of sum i+1
        for (genvar s = 0; s < SIMD; s++) begin : gen_low
          always_ff @(posedge clk) begin
            lows_q[s*Overlap+:Overlap] <= weight[((g+i+1)*SIMD+s)*WEIGHT_BITS+:Overlap] * x[s*X_BITS+:Overlap];
          end
        end
        always_comb begin
          low = '0;
          for (int s = 0; s < SIMD; s++) low = low + lows_q[s*Overlap+:Overlap];
        end
        always_ff @(posedge clk) low_q <= low;
        assign above[i*Above+:Above] = total_q[(i+1)*Pitch+:Overlap] - low_q;
        assign field = {above[i*Above+:Above], total_q[i*Pitch+:Pitch]};
      end

      if (i == 0) begin : gen_first
        assign sum[(g+i)*SUM_BITS+:SUM_BITS] = SUM_BITS'(field);
        assign carry[g+i] = 1'b0;
      end else if (Above == 1) begin : gen_carry
        assign sum[(g+i)*SUM_BITS+:SUM_BITS] = SUM_BITS'(field);
        assign carry[g+i] = above[i-1];
      end else begin : gen_subtract
        assign sum[(g+i)*SUM_BITS+:SUM_BITS] = SUM_BITS'(field) - SUM_BITS'($signed(above[(i-1)*Above+:Above]));
        assign carry[g+i] = 1'b0;
      end
    end
  end
endmodule
