// A FIFO whose handshakes are registers: a word written in cycle t can be read from t+1, a place freed in t can be
// written from t+1. Cuts every path from one side to the other. DEPTH >= 2 keeps full rate.
module fifo #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 2
) (
    input  logic             clk,
    input  logic             rst,
    input  logic [WIDTH-1:0] s_data,
    input  logic             s_valid,
    output logic             s_ready,
    output logic [WIDTH-1:0] m_data,
    output logic             m_valid,
    input  logic             m_ready
);
  localparam int AddressBits = DEPTH > 1 ? $clog2(DEPTH) : 1;
  localparam int CountBits = $clog2(DEPTH + 1);
  localparam logic [AddressBits-1:0] Last = AddressBits'(DEPTH - 1);

  logic [WIDTH-1:0] memory[DEPTH];
  logic [AddressBits-1:0] head_q, tail_q;
  logic [CountBits-1:0] count_q;

  wire write = s_valid && s_ready;
  wire read = m_valid && m_ready;

  assign s_ready = count_q != CountBits'(DEPTH);
  assign m_valid = count_q != '0;
  assign m_data  = memory[head_q];

  always_ff @(posedge clk) begin
    if (write) memory[tail_q] <= s_data;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      head_q  <= '0;
      tail_q  <= '0;
      count_q <= '0;
    end else begin
      if (write) tail_q <= (tail_q == Last) ? '0 : tail_q + 1'b1;
      if (read) head_q <= (head_q == Last) ? '0 : head_q + 1'b1;
      count_q <= count_q + CountBits'(write) - CountBits'(read);
    end
  end
endmodule
