// count = number of zeros above the highest 1 of x (meaningless where x is 0: see empty). Combinational, a tree of
// depth log2(WIDTH): of two neighbours, the upper one's count holds unless it is empty.
module leading_zeros #(
    parameter int WIDTH = 32,
    parameter int BITS  = WIDTH > 1 ? $clog2(WIDTH) : 1
) (
    input  logic [WIDTH-1:0] x,
    output logic [ BITS-1:0] count,
    output logic             empty
);
  localparam int Leaves = 2 ** BITS;

  logic [Leaves-1:0] zero;
  logic [Leaves*BITS-1:0] counts;

  // Node i of the next level takes the place of node i, after nodes 2i and 2i+1 were read.
  always_comb begin
    zero   = ~(Leaves'(x) << (Leaves - WIDTH));
    counts = '0;
    for (int level = 0; level < BITS; level++) begin
      for (int i = 0; i < Leaves >> (level + 1); i++) begin
        if (zero[2*i+1]) counts[i*BITS+:BITS] = counts[2*i*BITS+:BITS] | BITS'(1 << level);
        else counts[i*BITS+:BITS] = counts[(2*i+1)*BITS+:BITS];
        zero[i] = zero[2*i] && zero[2*i+1];
      end
    end
  end

  assign count = counts[BITS-1:0];
  assign empty = zero[0];
endmodule
