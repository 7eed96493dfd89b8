// Bytes of a serial line to frames: SLIP (RFC 1055), of which the last four bytes are the CRC-32 of those before. Bytes go on as
// they come; `ends` is a beat of its own, behind the last one, and says whether the frame was `whole`.
module frame_rx (
    input  logic       clk,
    input  logic       rst,
    input  logic [7:0] s_data,
    input  logic       s_valid,
    output logic       s_ready,
    output logic [7:0] m_data,
    output logic       m_valid,
    input  logic       m_ready,
    output logic       ends,
    output logic       whole
);
  localparam logic [7:0] End = 8'hc0, Escape = 8'hdb, EscapedEnd = 8'hdc, EscapedEscape = 8'hdd;

  logic escaped_q, right;
  wire take = s_valid && s_ready;
  wire end_here = s_data == End;
  assign s_ready = m_ready;
  assign m_valid = s_valid && !end_here && (escaped_q || s_data != Escape);
  assign m_data = !escaped_q ? s_data : s_data == EscapedEnd ? End : s_data == EscapedEscape ? Escape : s_data;
  assign ends = s_valid && end_here;
  assign whole = right && !escaped_q;

  logic [31:0] unused_value;
  crc32 u_crc (
      .clk,
      .rst  (rst || (take && end_here)),
      .data (m_data),
      .valid(take && m_valid),
      .value(unused_value),
      .right
  );
  always_ff @(posedge clk) begin
    if (rst) escaped_q <= 1'b0;
    else if (take) escaped_q <= s_data == Escape && !escaped_q;
  end
endmodule
