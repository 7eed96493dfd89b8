// Residual: out = saturate(x + s), s rounded to the grid of x, where a spike is exact (quant/ops/residual.py). Stages 1
// and 2 hold what the FIFOs gave, as a block RAM's output takes half a cycle, stage 3 the sum: rounding s is its carry.
module residual #(
    parameter int LANES      = 1,
    parameter int X_BITS     = 10,
    parameter int X_FRAC     = 4,
    parameter int X_SIGNED   = 1,
    parameter int S_BITS     = 1,
    parameter int S_FRAC     = 0,
    parameter int S_SIGNED   = 0,
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
    input  logic [  LANES*S_BITS-1:0] s_axis_s_tdata,
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
  localparam int Latency = 3;
  localparam int Left = X_FRAC > S_FRAC ? X_FRAC - S_FRAC : 0;
  localparam int Right = S_FRAC > X_FRAC ? S_FRAC - X_FRAC : 0;
  localparam int AddBits = (S_BITS > Right ? S_BITS : Right) + 1 + Left;
  localparam int SumBits = (X_BITS + 1 > AddBits ? X_BITS + 1 : AddBits) + 1;

  logic [LANES*X_BITS-1:0] x, x_q, x2_q;
  logic [LANES*S_BITS-1:0] s, s_q, s2_q;
  logic [LANES*OUT_BITS-1:0] result, result_q;
  logic valid, ready, last;
  logic [UserBits-1:0] user;

  // The two streams carry the same markers.
  logic unused_markers;
  assign unused_markers = ^{s_axis_s_tlast, s_axis_s_tuser};

  stream_join #(
      .USER_BITS(UserBits),
      .A_WIDTH  (LANES * X_BITS),
      .B_WIDTH  (LANES * S_BITS),
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
    logic signed [S_BITS:0] s_lane;
    logic signed [AddBits-1:0] added, floor;
    logic signed [SumBits-1:0] sum;
    logic up;
    assign x_lane = {X_SIGNED != 0 && x2_q[l*X_BITS+X_BITS-1], x2_q[l*X_BITS+:X_BITS]};
    assign s_lane = {S_SIGNED != 0 && s2_q[l*S_BITS+S_BITS-1], s2_q[l*S_BITS+:S_BITS]};
    assign added  = AddBits'(s_lane) <<< Left;
    assign floor  = added >>> Right;
    if (Right == 0) begin : gen_exact
      assign up = 1'b0;
    end else begin : gen_round
      localparam logic [AddBits-1:0] Rest = (AddBits'(1) << (Right - 1)) - AddBits'(1);  // bits below the guard bit
      assign up = added[Right-1] && ((added & Rest) != '0 || floor[0]);
    end
    assign sum = SumBits'(x_lane) + SumBits'(floor) + SumBits'(up);
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
  always_ff @(posedge clk) begin
    x_q      <= x;
    s_q      <= s;
    x2_q     <= x_q;
    s2_q     <= s_q;
    result_q <= result;
  end

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
