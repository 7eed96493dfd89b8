// LIF: h = (v + x) >> 1;  s = h >= 1;  v = s ? 0 : h   (tau 2, hard reset; quant/ops/lif.py)
//
// x has DRIVE fraction bits less here than where it comes from. Membranes lie on its grid, or on whole thresholds where that is coarser; a mean of inputs, they stay in range.
// Membranes lie in RAM, one word of LANES per context and beat. Stage 1 holds the membrane as read, stage 2 that of a
// first token cleared, stage 3 the spike.
module lif #(
    parameter int CHANNELS = 64,
    parameter int LANES    = 1,
    parameter int X_BITS   = 8,
    parameter int X_FRAC   = 4,
    parameter int X_SIGNED = 1,
    parameter int DRIVE    = 0,
    parameter int CONTEXTS = 1
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic [  LANES*X_BITS-1:0] s_axis_x_tdata,
    input  logic                      s_axis_x_tvalid,
    output logic                      s_axis_x_tready,
    input  logic                      s_axis_x_tlast,
    input  logic [$clog2(CONTEXTS):0] s_axis_x_tuser,
    output logic [         LANES-1:0] m_axis_tdata,
    output logic                      m_axis_tvalid,
    input  logic                      m_axis_tready,
    output logic                      m_axis_tlast,
    output logic [$clog2(CONTEXTS):0] m_axis_tuser
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the context, and the first token's mark
  localparam int Beats = CHANNELS / LANES;
  localparam int IndexBits = Beats > 1 ? $clog2(Beats) : 1;
  localparam int Words = ((CONTEXTS - 1) << IndexBits) + Beats;  // word {c, b}: context c, beat b
  localparam int WordBits = IndexBits + UserBits - 1;
  localparam int Latency = 3;
  localparam int Loop = 3;
  localparam int Frac = X_FRAC > DRIVE ? X_FRAC - DRIVE : 0;  // of a membrane
  localparam int Up = Frac - (X_FRAC - DRIVE);
  localparam int W = X_BITS + Up;
  localparam int SumBits = X_SIGNED != 0 ? W + 1 : W + 2;  // with a sign

  logic [LANES*W-1:0] membrane[Words];
  logic [LANES*W-1:0] read_q, read2_q, next;
  logic [LANES*X_BITS-1:0] x_q, x2_q;
  logic [IndexBits-1:0] index;
  logic [WordBits-1:0] word, word_q, word2_q;
  logic valid_q, valid2_q, first_q;
  logic [LANES-1:0] spike, spike_q;

  wire accept = s_axis_x_tvalid && s_axis_x_tready;

  beat_counter #(
      .BEATS(Beats)
  ) u_index (
      .clk,
      .rst,
      .step(accept),
      .index,
      .last()
  );

  assign word = WordBits'({s_axis_x_tuser >> 1, index});
  always_ff @(posedge clk) begin
    valid_q  <= rst ? 1'b0 : accept;
    first_q  <= s_axis_x_tuser[0];
    word_q   <= word;
    x_q      <= s_axis_x_tdata;
    read_q   <= membrane[word];

    valid2_q <= rst ? 1'b0 : valid_q;
    word2_q  <= word_q;
    x2_q     <= x_q;
    read2_q  <= first_q ? '0 : read_q;
    spike_q  <= spike;
  end

  always_ff @(posedge clk) begin
    if (valid2_q) membrane[word2_q] <= next;
  end

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic signed [W:0] v;
    logic signed [X_BITS:0] x;
    logic signed [SumBits-1:0] h;
    assign v = {X_SIGNED != 0 && read2_q[l*W+W-1], read2_q[l*W+:W]};
    assign x = {X_SIGNED != 0 && x2_q[l*X_BITS+X_BITS-1], x2_q[l*X_BITS+:X_BITS]};
    assign h = (SumBits'(v) + (SumBits'(x) <<< Up)) >>> 1;
    assign spike[l] = (h >>> Frac) > 0;
    assign next[l*W+:W] = spike[l] ? '0 : h[W-1:0];
  end

  stream_pipe #(
      .WIDTH    (LANES),
      .USER_BITS(UserBits),
      .LATENCY  (Latency),
      .CREDITS  (Latency + 2),
      .BEATS    (Beats),
      .LOOP     (Loop)
  ) u_pipe (
      .clk,
      .rst,
      .valid (s_axis_x_tvalid),
      .ready (s_axis_x_tready),
      .last  (s_axis_x_tlast),
      .user  (s_axis_x_tuser),
      .result(spike_q),
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
