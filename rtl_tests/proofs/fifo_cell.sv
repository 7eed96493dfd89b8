// fifo: words leave in the order in which they came.
module fifo_cell #(
    parameter int BITS  = 2,
    parameter int DEPTH = 2
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
  fifo #(
      .WIDTH(BITS + 2),
      .DEPTH(DEPTH)
  ) u_fifo (
      .clk,
      .rst,
      .s_data ({s_axis_x_tuser, s_axis_x_tlast, s_axis_x_tdata}),
      .s_valid(s_axis_x_tvalid),
      .s_ready(s_axis_x_tready),
      .m_data ({m_axis_tuser, m_axis_tlast, m_axis_tdata}),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
endmodule
