// Bytes to a serial line: 8N1, DIVIDER clock cycles per bit, least significant bit first.
module uart_tx #(
    parameter int DIVIDER = 217
) (
    input  logic       clk,
    input  logic       rst,
    input  logic [7:0] s_axis_tdata,
    input  logic       s_axis_tvalid,
    output logic       s_axis_tready,
    output logic       txd
);
  localparam int CountBits = $clog2(DIVIDER) > 0 ? $clog2(DIVIDER) : 1;

  logic [CountBits-1:0] count_q;
  logic [3:0] left_q;  // bits to send, start and stop with them
  logic [8:0] bits_q;

  assign s_axis_tready = left_q == '0;

  always_ff @(posedge clk) begin
    if (rst) begin
      left_q  <= '0;
      count_q <= '0;
      txd     <= 1'b1;
    end else if (left_q == '0) begin
      if (s_axis_tvalid) begin
        left_q  <= 4'd10;
        bits_q  <= {1'b1, s_axis_tdata};
        txd     <= 1'b0;
        count_q <= CountBits'(DIVIDER - 1);
      end
    end else if (count_q != '0) begin
      count_q <= count_q - 1'b1;
    end else begin
      left_q  <= left_q - 1'b1;
      txd     <= bits_q[0];
      bits_q  <= {1'b1, bits_q[8:1]};
      count_q <= CountBits'(DIVIDER - 1);
    end
  end
endmodule
