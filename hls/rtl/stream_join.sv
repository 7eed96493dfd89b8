// Pairs the beats of two streams: a FIFO in front of each, and one valid for both. The markers are those of stream a.
module stream_join #(
    parameter int USER_BITS = 1,
    parameter int A_WIDTH   = 8,
    parameter int B_WIDTH   = 8,
    parameter int A_DEPTH   = 2,
    parameter int B_DEPTH   = 2
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic [  A_WIDTH-1:0] s_axis_a_tdata,
    input  logic                 s_axis_a_tvalid,
    output logic                 s_axis_a_tready,
    input  logic                 s_axis_a_tlast,
    input  logic [USER_BITS-1:0] s_axis_a_tuser,
    input  logic [  B_WIDTH-1:0] s_axis_b_tdata,
    input  logic                 s_axis_b_tvalid,
    output logic                 s_axis_b_tready,
    output logic [  A_WIDTH-1:0] a,
    output logic [  B_WIDTH-1:0] b,
    output logic                 last,
    output logic [USER_BITS-1:0] user,
    output logic                 valid,
    input  logic                 ready
);
  logic a_valid, b_valid;
  assign valid = a_valid && b_valid;

  fifo #(
      .WIDTH(A_WIDTH + 1 + USER_BITS),
      .DEPTH(A_DEPTH)
  ) u_a (
      .clk,
      .rst,
      .s_data ({s_axis_a_tuser, s_axis_a_tlast, s_axis_a_tdata}),
      .s_valid(s_axis_a_tvalid),
      .s_ready(s_axis_a_tready),
      .m_data ({user, last, a}),
      .m_valid(a_valid),
      .m_ready(ready && b_valid)
  );

  fifo #(
      .WIDTH(B_WIDTH),
      .DEPTH(B_DEPTH)
  ) u_b (
      .clk,
      .rst,
      .s_data (s_axis_b_tdata),
      .s_valid(s_axis_b_tvalid),
      .s_ready(s_axis_b_tready),
      .m_data (b),
      .m_valid(b_valid),
      .m_ready(ready && a_valid)
  );
endmodule
