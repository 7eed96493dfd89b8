// stream_join: the beats of both streams leave in pairs of the same number.
module join_cell #(
    parameter int A_DEPTH = 2,
    parameter int B_DEPTH = 2
) (
    input  logic       clk,
    input  logic       rst,
    input  logic       s_axis_a_tdata,
    input  logic       s_axis_a_tvalid,
    output logic       s_axis_a_tready,
    input  logic       s_axis_a_tlast,
    input  logic       s_axis_a_tuser,
    input  logic       s_axis_b_tdata,
    input  logic       s_axis_b_tvalid,
    output logic       s_axis_b_tready,
    input  logic       s_axis_b_tlast,
    input  logic       s_axis_b_tuser,
    output logic [1:0] m_axis_tdata,
    output logic       m_axis_tvalid,
    input  logic       m_axis_tready,
    output logic       m_axis_tlast,
    output logic       m_axis_tuser
);
  logic a, b, valid, ready, last, user;
  logic [1:0] result_q;
  logic unused_markers;
  assign unused_markers = s_axis_b_tlast ^ s_axis_b_tuser;

  stream_join #(
      .A_WIDTH(1),
      .B_WIDTH(1),
      .A_DEPTH(A_DEPTH),
      .B_DEPTH(B_DEPTH)
  ) u_join (
      .clk,
      .rst,
      .s_axis_a_tdata,
      .s_axis_a_tvalid,
      .s_axis_a_tready,
      .s_axis_a_tlast,
      .s_axis_a_tuser,
      .s_axis_b_tdata,
      .s_axis_b_tvalid,
      .s_axis_b_tready,
      .a,
      .b,
      .last,
      .user,
      .valid,
      .ready
  );
  always_ff @(posedge clk) result_q <= {b, a};
  stream_pipe #(
      .WIDTH  (2),
      .LATENCY(1),
      .CREDITS(3)
  ) u_pipe (
      .clk,
      .rst,
      .valid,
      .ready,
      .last,
      .user,
      .result(result_q),
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
