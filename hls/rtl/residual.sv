// Residual: out = saturate(x + s), one spike s being 1.0 on the grid of x (quant/ops/residual.py). Stage 1 is the sum.
module residual #(
    parameter int LANES      = 1,
    parameter int X_BITS     = 10,
    parameter int X_FRAC     = 4,
    parameter int X_SIGNED   = 1,
    parameter int OUT_BITS   = 10,
    parameter int OUT_SIGNED = 1,
    parameter int X_DEPTH    = 2,
    parameter int S_DEPTH    = 2,
    parameter int CONTEXTS   = 1
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic [  LANES*X_BITS-1:0] s_axis_x_tdata,
    input  logic                      s_axis_x_tvalid,
    output logic                      s_axis_x_tready,
    input  logic                      s_axis_x_tlast,
    input  logic [$clog2(CONTEXTS):0] s_axis_x_tuser,
    input  logic [         LANES-1:0] s_axis_s_tdata,
    input  logic                      s_axis_s_tvalid,
    output logic                      s_axis_s_tready,
    input  logic                      s_axis_s_tlast,
    input  logic [$clog2(CONTEXTS):0] s_axis_s_tuser,
    output logic [LANES*OUT_BITS-1:0] m_axis_tdata,
    output logic                      m_axis_tvalid,
    input  logic                      m_axis_tready,
    output logic                      m_axis_tlast,
    output logic [$clog2(CONTEXTS):0] m_axis_tuser
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the context, and the first token's mark
  localparam int Latency = 1;
  localparam int SumBits = (X_BITS > X_FRAC + 1 ? X_BITS : X_FRAC + 1) + 2;

  logic [LANES*X_BITS-1:0] x;
  logic [LANES-1:0] s;
  logic [LANES*OUT_BITS-1:0] result, result_q;
  logic valid, ready, last;
  logic [UserBits-1:0] user;

  // The two streams carry the same markers.
  logic unused_markers;
  assign unused_markers = ^{s_axis_s_tlast, s_axis_s_tuser};

  stream_join #(
      .USER_BITS(UserBits),
      .A_WIDTH  (LANES * X_BITS),
      .B_WIDTH  (LANES),
      .A_DEPTH  (X_DEPTH),
      .B_DEPTH  (S_DEPTH)
  ) u_join (
      .clk,
      .rst,
      .s_axis_a_tdata(s_axis_x_tdata),
      .s_axis_a_tvalid(s_axis_x_tvalid),
      .s_axis_a_tready(s_axis_x_tready),
      .s_axis_a_tlast(s_axis_x_tlast),
      .s_axis_a_tuser(s_axis_x_tuser),
      .s_axis_b_tdata(s_axis_s_tdata),
      .s_axis_b_tvalid(s_axis_s_tvalid),
      .s_axis_b_tready(s_axis_s_tready),
      .a(x),
      .b(s),
      .last,
      .user,
      .valid,
      .ready
  );

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic signed [X_BITS:0] x_lane;
    logic signed [SumBits-1:0] sum, spike;
    assign x_lane = {X_SIGNED != 0 && x[l*X_BITS+X_BITS-1], x[l*X_BITS+:X_BITS]};
    assign spike = SumBits'(s[l]) << X_FRAC;
    assign sum = x_lane + spike;
    requantize #(
        .IN_BITS   (SumBits),
        .SHIFT     (0),
        .OUT_BITS  (OUT_BITS),
        .OUT_SIGNED(OUT_SIGNED)
    ) u_saturate (
        .x(sum),
        .y(result[l*OUT_BITS+:OUT_BITS])
    );
  end
  always_ff @(posedge clk) result_q <= result;

  stream_pipe #(
      .WIDTH    (LANES * OUT_BITS),
      .USER_BITS(UserBits),
      .LATENCY  (Latency),
      .CREDITS  (Latency + 2)
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
