// Serial line to bytes: 8N1, DIVIDER clock cycles per bit, least significant bit first. A bit is taken in its middle; a
// byte without its stop bit is dropped. Nothing can make a sender wait: the reader has a byte's time to take a byte.
module uart_rx #(
    parameter int DIVIDER = 217
) (
    input  logic       clk,
    input  logic       rst,
    input  logic       rxd,
    output logic [7:0] m_axis_tdata,
    output logic       m_axis_tvalid  // a pulse
);
  localparam int CountBits = $clog2(DIVIDER + DIVIDER / 2);

  logic [1:0] line_q;  // the pin knows no clock
  logic [CountBits-1:0] count_q;
  logic [3:0] left_q;  // bits to come, the stop bit with them
  logic [7:0] byte_q;

  wire middle = count_q == '0;
  assign m_axis_tdata = byte_q;

  always_ff @(posedge clk) begin
    line_q        <= rst ? 2'b11 : {line_q[0], rxd};
    m_axis_tvalid <= !rst && left_q == 4'd1 && middle && line_q[1];
    if (rst) begin
      left_q  <= '0;
      count_q <= '0;
    end else if (left_q == '0) begin
      if (!line_q[1]) begin
        left_q  <= 4'd9;
        count_q <= CountBits'(DIVIDER + DIVIDER / 2 - 1);  // over the start bit, to the middle of the first
      end
    end else if (middle) begin
      left_q  <= left_q - 1'b1;
      count_q <= CountBits'(DIVIDER - 1);
      if (left_q != 4'd1) byte_q <= {line_q[1], byte_q[7:1]};
    end else begin
      count_q <= count_q - 1'b1;
    end
  end
endmodule
