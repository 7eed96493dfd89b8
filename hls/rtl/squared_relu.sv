// Squared ReLU: y = requantize(max(x, 0)**2) (quant/ops/squared_relu.py). Stage 1 holds
// max(x, 0), stage 2 its square, stage 3 the result.
module squared_relu #(
    parameter int LANES      = 1,
    parameter int X_BITS     = 8,
    parameter int X_FRAC     = 4,
    parameter int X_SIGNED   = 0,
    parameter int OUT_BITS   = 8,
    parameter int OUT_FRAC   = 4,
    parameter int OUT_SIGNED = 0,
    parameter int CONTEXTS   = 1
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic [  LANES*X_BITS-1:0] s_axis_x_tdata,
    input  logic                      s_axis_x_tvalid,
    output logic                      s_axis_x_tready,
    input  logic                      s_axis_x_tlast,
    input  logic [$clog2(CONTEXTS):0] s_axis_x_tuser,
    output logic [LANES*OUT_BITS-1:0] m_axis_tdata,
    output logic                      m_axis_tvalid,
    input  logic                      m_axis_tready,
    output logic                      m_axis_tlast,
    output logic [$clog2(CONTEXTS):0] m_axis_tuser
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the context, and the first token's mark
  localparam int Latency = 3;
  logic [LANES*OUT_BITS-1:0] result, result_q;

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic [X_BITS-1:0] x, positive_q;
    logic [2*X_BITS-1:0] square_q;
    assign x = s_axis_x_tdata[l*X_BITS+:X_BITS];
    always_ff @(posedge clk) begin
      positive_q <= X_SIGNED != 0 && x[X_BITS-1] ? '0 : x;
      square_q   <= positive_q * positive_q;
    end
    requantize #(
        .IN_BITS   (2 * X_BITS + 1),
        .SHIFT     (2 * X_FRAC - OUT_FRAC),
        .OUT_BITS  (OUT_BITS),
        .OUT_SIGNED(OUT_SIGNED)
    ) u_requantize (
        .x({1'b0, square_q}),
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
      .valid (s_axis_x_tvalid),
      .ready (s_axis_x_tready),
      .last  (s_axis_x_tlast),
      .user  (s_axis_x_tuser),
      .result(result_q),
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
