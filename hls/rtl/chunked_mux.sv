// y = word s of x, a cycle ago: words are chosen in chunks before a register, and among the chunks behind it, so that a
// choice of many words does not take its whole depth in one cycle.
module chunked_mux #(
    parameter int WORDS = 32,
    parameter int WIDTH = 24
) (
    input  logic                                       clk,
    input  logic [(WORDS > 1 ? $clog2(WORDS) : 1)-1:0] s,
    input  logic [                    WORDS*WIDTH-1:0] x,
    output logic [                          WIDTH-1:0] y
);
  localparam int Bits = WORDS > 1 ? $clog2(WORDS) : 1;
  localparam int Low = Bits <= 2 ? Bits : (Bits + 1) / 2;  // four words are a LUT's
  localparam int Chunks = 2 ** (Bits - Low);

  logic [2**Bits*WIDTH-1:0] words;
  logic [Chunks*WIDTH-1:0] chosen_q;
  logic [Low-1:0] place;
  logic [Bits-1:0] chunk_q;

  assign words = (2 ** Bits * WIDTH)'(x);
  assign place = s[Low-1:0];
  for (genvar c = 0; c < Chunks; c++) begin : gen_chunk
    // A slice of its own: of an index with a sum in it Yosys makes a multiplication.
    logic [2**Low*WIDTH-1:0] chunk;
    assign chunk = words[c*2**Low*WIDTH+:2**Low*WIDTH];
    always_ff @(posedge clk) chosen_q[c*WIDTH+:WIDTH] <= chunk[place*WIDTH+:WIDTH];
  end
  always_ff @(posedge clk) chunk_q <= s >> Low;
  assign y = chosen_q[chunk_q*WIDTH+:WIDTH];
endmodule
