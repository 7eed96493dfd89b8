// Lines of text to packets of ids: the bytes up to a CR or LF are a sequence, whose last byte has tlast. Empty lines are
// nothing. A byte is held until the next one says whether it is the line's last.
module prompt (
    input  logic       clk,
    input  logic       rst,
    input  logic [7:0] s_axis_tdata,
    input  logic       s_axis_tvalid,
    output logic       s_axis_tready,
    output logic [7:0] m_axis_tdata,
    output logic       m_axis_tvalid,
    input  logic       m_axis_tready,
    output logic       m_axis_tlast,
    output logic       m_axis_tuser    // first of its sequence
);
  localparam logic [7:0] Return = 8'h0d;
  localparam logic [7:0] Feed = 8'h0a;

  logic held_q, first_q;
  logic [7:0] byte_q;

  wire take = s_axis_tvalid && s_axis_tready;
  wire ends = s_axis_tdata == Return || s_axis_tdata == Feed;

  always_ff @(posedge clk) begin
    if (rst) begin
      held_q  <= 1'b0;
      first_q <= 1'b1;
    end else if (take) begin
      held_q <= !ends;
      if (held_q) first_q <= ends;
    end
    if (take) byte_q <= s_axis_tdata;
  end

  fifo #(
      .WIDTH(10),
      .DEPTH(2)
  ) u_fifo (
      .clk,
      .rst,
      .s_data ({first_q, ends, byte_q}),
      .s_valid(take && held_q),
      .s_ready(s_axis_tready),
      .m_data ({m_axis_tuser, m_axis_tlast, m_axis_tdata}),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
endmodule
