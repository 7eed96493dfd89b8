// Gate: out = requantize(r * y) (quant/ops/gate.py). Stage 1 holds the product, stage 2 the result.
module gate #(
    parameter int LANES      = 1,
    parameter int R_BITS     = 8,
    parameter int R_FRAC     = 8,
    parameter int R_SIGNED   = 0,
    parameter int Y_BITS     = 10,
    parameter int Y_FRAC     = 6,
    parameter int Y_SIGNED   = 1,
    parameter int OUT_BITS   = 8,
    parameter int OUT_FRAC   = 4,
    parameter int OUT_SIGNED = 1,
    parameter int R_DEPTH    = 2,
    parameter int Y_DEPTH    = 2,
    parameter int CONTEXTS   = 1
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic [  LANES*R_BITS-1:0] s_axis_r_tdata,
    input  logic                      s_axis_r_tvalid,
    output logic                      s_axis_r_tready,
    input  logic                      s_axis_r_tlast,
    input  logic [$clog2(CONTEXTS):0] s_axis_r_tuser,
    input  logic [  LANES*Y_BITS-1:0] s_axis_y_tdata,
    input  logic                      s_axis_y_tvalid,
    output logic                      s_axis_y_tready,
    input  logic                      s_axis_y_tlast,
    input  logic [$clog2(CONTEXTS):0] s_axis_y_tuser,
    output logic [LANES*OUT_BITS-1:0] m_axis_tdata,
    output logic                      m_axis_tvalid,
    input  logic                      m_axis_tready,
    output logic                      m_axis_tlast,
    output logic [$clog2(CONTEXTS):0] m_axis_tuser
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the context, and the first token's mark
  localparam int Latency = 2;
  localparam int ProductBits = R_BITS + Y_BITS + 2;

  logic [LANES*R_BITS-1:0] r;
  logic [LANES*Y_BITS-1:0] y;
  logic [LANES*OUT_BITS-1:0] result, result_q;
  logic valid, ready, last;
  logic [UserBits-1:0] user;

  // The two streams carry the same markers.
  logic unused_markers;
  assign unused_markers = ^{s_axis_y_tlast, s_axis_y_tuser};

  stream_join #(
      .USER_BITS(UserBits),
      .A_WIDTH  (LANES * R_BITS),
      .B_WIDTH  (LANES * Y_BITS),
      .A_DEPTH  (R_DEPTH),
      .B_DEPTH  (Y_DEPTH)
  ) u_join (
      .clk,
      .rst,
      .s_axis_a_tdata(s_axis_r_tdata),
      .s_axis_a_tvalid(s_axis_r_tvalid),
      .s_axis_a_tready(s_axis_r_tready),
      .s_axis_a_tlast(s_axis_r_tlast),
      .s_axis_a_tuser(s_axis_r_tuser),
      .s_axis_b_tdata(s_axis_y_tdata),
      .s_axis_b_tvalid(s_axis_y_tvalid),
      .s_axis_b_tready(s_axis_y_tready),
      .a(r),
      .b(y),
      .last,
      .user,
      .valid,
      .ready
  );

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic signed [R_BITS:0] r_lane;
    logic signed [Y_BITS:0] y_lane;
    logic signed [ProductBits-1:0] product_q;
    assign r_lane = {R_SIGNED != 0 && r[l*R_BITS+R_BITS-1], r[l*R_BITS+:R_BITS]};
    assign y_lane = {Y_SIGNED != 0 && y[l*Y_BITS+Y_BITS-1], y[l*Y_BITS+:Y_BITS]};
    always_ff @(posedge clk) product_q <= r_lane * y_lane;
    requantize #(
        .IN_BITS   (ProductBits),
        .SHIFT     (R_FRAC + Y_FRAC - OUT_FRAC),
        .OUT_BITS  (OUT_BITS),
        .OUT_SIGNED(OUT_SIGNED)
    ) u_requantize (
        .x(product_q),
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
