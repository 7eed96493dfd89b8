// stream_pipe: what is on `result` LATENCY cycles after a beat was accepted is that beat's.
module pipe_cell #(
    parameter int BITS    = 1,
    parameter int LATENCY = 2,
    parameter int CREDITS = LATENCY + 2,
    parameter int BEATS   = 1,
    parameter int LOOP    = 0
) (
    input  logic            clk,
    input  logic            rst,
    input  logic [BITS-1:0] s_axis_x_tdata,
    input  logic            s_axis_x_tvalid,
    output logic            s_axis_x_tready,
    input  logic            s_axis_x_tlast,
    input  logic            s_axis_x_tuser,
    output logic [BITS-1:0] m_axis_tdata,
    output logic            m_axis_tvalid,
    input  logic            m_axis_tready,
    output logic            m_axis_tlast,
    output logic            m_axis_tuser
);
  logic [BITS-1:0] result;
  delay #(
      .WIDTH (BITS),
      .CYCLES(LATENCY)
  ) u_delay (
      .clk,
      .x(s_axis_x_tdata),
      .y(result)
  );
  stream_pipe #(
      .WIDTH  (BITS),
      .LATENCY(LATENCY),
      .CREDITS(CREDITS),
      .BEATS  (BEATS),
      .LOOP   (LOOP)
  ) u_pipe (
      .clk,
      .rst,
      .valid(s_axis_x_tvalid),
      .ready(s_axis_x_tready),
      .last (s_axis_x_tlast),
      .user (s_axis_x_tuser),
      .result,
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
