// y = saturate(round_half_even(x / 2**SHIFT)); a negative SHIFT multiplies. Combinational. Whether the floor is out of
// range, or would be with one more, is known beside the sum that rounds it.
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
  localparam int Magnitude = OUT_SIGNED != 0 ? OUT_BITS - 1 : OUT_BITS;  // bits beside the sign
  localparam logic [OUT_BITS-1:0] High = OUT_BITS'({Magnitude{1'b1}});
  localparam logic [OUT_BITS-1:0] Low = OUT_SIGNED != 0 ? ~High : '0;

  logic signed [Wide-1:0] wide, floor;
  logic up, negative, outside;
  assign wide  = Wide'(x) <<< Left;
  assign floor = wide >>> Right;

  if (Right == 0) begin : gen_exact
    assign up = 1'b0;
  end else begin : gen_round
    localparam logic [Wide-1:0] Rest = (Wide'(1) << (Right - 1)) - Wide'(1);  // bits below the guard bit
    assign up = wide[Right-1] && ((wide & Rest) != '0 || floor[0]);
  end

  assign negative = floor[Wide-1];
  assign outside = floor[Wide-1:Magnitude] != {Wide - Magnitude{OUT_SIGNED != 0 && negative}}
      || (!negative && &floor[Magnitude-1:0] && up);
  assign y = outside ? (negative ? Low : High) : floor[OUT_BITS-1:0] + OUT_BITS'(up);
endmodule
