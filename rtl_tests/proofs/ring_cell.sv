// ring: two layers whose blocks are a pipe of latency LATENCY with CREDITS places, which holds less than what may be inside.
module ring_cell #(
    parameter int BITS    = 1,
    parameter int BEATS   = 2,
    parameter int LAYERS  = 2,
    parameter int TOKENS  = 2,
    parameter int LATENCY = 1,
    parameter int CREDITS = 2
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
  localparam int UserBits = 1 + $clog2(LAYERS);
  logic [BITS-1:0] layer_tdata, back_tdata, data_q;
  logic [UserBits-1:0] layer_tuser, back_tuser;
  logic layer_tvalid, layer_tready, layer_tlast, back_tvalid, back_tready, back_tlast;

  ring #(
      .CHANNELS(BEATS),
      .LANES   (1),
      .X_BITS  (BITS),
      .X_SIGNED(0),
      .BITS    (BITS),
      .LAYERS  (LAYERS),
      .TOKENS  (TOKENS)
  ) u_ring (
      .clk,
      .rst,
      .wave(),
      .closed(),
      .taken(1'b1),
      .coming(1'b0),
      .s_axis_x_tdata,
      .s_axis_x_tvalid,
      .s_axis_x_tready,
      .s_axis_x_tlast,
      .s_axis_x_tuser,
      .s_axis_back_tdata(back_tdata),
      .s_axis_back_tvalid(back_tvalid),
      .s_axis_back_tready(back_tready),
      .s_axis_back_tlast(back_tlast),
      .s_axis_back_tuser(back_tuser),
      .m_axis_layer_tdata(layer_tdata),
      .m_axis_layer_tvalid(layer_tvalid),
      .m_axis_layer_tready(layer_tready),
      .m_axis_layer_tlast(layer_tlast),
      .m_axis_layer_tuser(layer_tuser),
      .m_axis_out_tdata(m_axis_tdata),
      .m_axis_out_tvalid(m_axis_tvalid),
      .m_axis_out_tready(m_axis_tready),
      .m_axis_out_tlast(m_axis_tlast),
      .m_axis_out_tuser(m_axis_tuser)
  );

  always_ff @(posedge clk) data_q <= layer_tdata;
  stream_pipe #(
      .WIDTH    (BITS),
      .USER_BITS(UserBits),
      .LATENCY  (LATENCY),
      .CREDITS  (CREDITS)
  ) u_layer (
      .clk,
      .rst,
      .valid(layer_tvalid),
      .ready(layer_tready),
      .last(layer_tlast),
      .user(layer_tuser),
      .result(data_q),
      .m_axis_tdata(back_tdata),
      .m_axis_tvalid(back_tvalid),
      .m_axis_tready(back_tready),
      .m_axis_tlast(back_tlast),
      .m_axis_tuser(back_tuser)
  );
endmodule
