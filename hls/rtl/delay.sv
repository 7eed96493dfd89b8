// y is x of CYCLES cycles ago. No reset, so that it may become a shift register in LUTs.
module delay #(
    parameter int WIDTH  = 1,
    parameter int CYCLES = 1
) (
    input  logic             clk,
    input  logic [WIDTH-1:0] x,
    output logic [WIDTH-1:0] y
);
  if (CYCLES == 0) begin : gen_wire
    logic unused_clk;
    assign unused_clk = clk;
    assign y = x;
  end else begin : gen_registers
    logic [CYCLES*WIDTH-1:0] line_q;
    always_ff @(posedge clk) line_q <= (CYCLES * WIDTH)'({line_q, x});
    assign y = line_q[CYCLES*WIDTH-1-:WIDTH];
  end
endmodule
