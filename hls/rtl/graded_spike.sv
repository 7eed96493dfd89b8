// Graded spike: y = requantize(max(x - theta, 0)**2), theta >= 0 (quant/ops/graded_spike.py)
//
// Stage 1 holds x and its threshold, stage 2 max(x - theta, 0), stage 3 its square, stage 4 the result.
module graded_spike #(
    parameter int CHANNELS   = 64,
    parameter int LANES      = 1,
    parameter int X_BITS     = 8,
    parameter int X_FRAC     = 4,
    parameter int X_SIGNED   = 0,
    parameter int OUT_BITS   = 8,
    parameter int OUT_FRAC   = 4,
    parameter int OUT_SIGNED = 0,
    parameter int CONTEXTS   = 1,
    parameter int LAYERS     = 1,
    parameter     THETA_FILE = ""
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
  localparam int Beats = CHANNELS / LANES;
  localparam int IndexBits = Beats > 1 ? $clog2(Beats) : 1;
  localparam int LayerBits = $clog2(LAYERS);
  localparam int Rows = ((LAYERS - 1) << IndexBits) + Beats;  // row {l, b}: layer l, beat b
  localparam int RowBits = LayerBits + IndexBits;
  localparam int Bits = X_SIGNED != 0 ? X_BITS - 1 : X_BITS;  // of what is not negative
  localparam int Latency = 4;

  logic [LANES*Bits-1:0] theta[Rows];
  initial $readmemh(THETA_FILE, theta);

  logic [LANES*X_BITS-1:0] x_q;
  logic [LANES*Bits-1:0] theta_q;
  logic [IndexBits-1:0] index;
  logic [LANES*OUT_BITS-1:0] result, result_q;

  beat_counter #(
      .BEATS(Beats)
  ) u_index (
      .clk,
      .rst,
      .step(s_axis_x_tvalid && s_axis_x_tready),
      .index,
      .last()
  );

  always_ff @(posedge clk) begin
    x_q      <= s_axis_x_tdata;
    theta_q  <= theta[RowBits'({s_axis_x_tuser>>(UserBits-LayerBits), index})];
    result_q <= result;
  end

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic [  X_BITS:0] above;  // with a sign
    logic [  Bits-1:0] above_q;
    logic [2*Bits-1:0] square_q;
    logic [  X_BITS:0] x;
    assign x = {X_SIGNED != 0 && x_q[l*X_BITS+X_BITS-1], x_q[l*X_BITS+:X_BITS]};
    assign above = x - (X_BITS + 1)'(theta_q[l*Bits+:Bits]);
    always_ff @(posedge clk) begin
      above_q  <= above[X_BITS] ? '0 : above[Bits-1:0];
      square_q <= above_q * above_q;
    end
    requantize #(
        .IN_BITS   (2 * Bits + 1),
        .SHIFT     (2 * X_FRAC - OUT_FRAC),
        .OUT_BITS  (OUT_BITS),
        .OUT_SIGNED(OUT_SIGNED)
    ) u_requantize (
        .x({1'b0, square_q}),
        .y(result[l*OUT_BITS+:OUT_BITS])
    );
  end

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
