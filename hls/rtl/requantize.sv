// y = saturate(round_half_even(x / 2**SHIFT)); a negative SHIFT multiplies. Combinational.
module requantize #(
    parameter int IN_BITS    = 16,
    parameter int SHIFT      = 4,
    parameter int OUT_BITS   = 8,
    parameter int OUT_SIGNED = 1
) (
    input  logic signed [ IN_BITS-1:0] x,
    output logic        [OUT_BITS-1:0] y
);
  localparam int Left = SHIFT < 0 ? -SHIFT : 0;
  localparam int Right = SHIFT > 0 ? SHIFT : 0;
  localparam int Reach = IN_BITS + Left > OUT_BITS ? IN_BITS + Left : OUT_BITS;
  localparam int Wide = (Reach > Right ? Reach : Right) + 2;
  localparam logic signed [Wide-1:0] One = 1;
  localparam logic signed [Wide-1:0] High = (One <<< (OUT_SIGNED != 0 ? OUT_BITS - 1 : OUT_BITS)) - One;
  localparam logic signed [Wide-1:0] Low = OUT_SIGNED != 0 ? -High - One : '0;

  logic signed [Wide-1:0] wide, rounded;
  assign wide = Wide'(x) <<< Left;

  if (Right == 0) begin : gen_exact
    assign rounded = wide;
  end else begin : gen_round
    localparam logic [Wide-1:0] Rest = (Wide'(1) << (Right - 1)) - Wide'(1);  // bits below the guard bit
    logic signed [Wide-1:0] floor;
    logic up;
    assign floor = wide >>> Right;
    assign up = wide[Right-1] && ((wide & Rest) != '0 || floor[0]);
    assign rounded = floor + (up ? One : '0);
  end

  always_comb begin
    if (rounded > High) y = High[OUT_BITS-1:0];
    else if (rounded < Low) y = Low[OUT_BITS-1:0];
    else y = rounded[OUT_BITS-1:0];
  end
endmodule
