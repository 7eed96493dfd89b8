// Token shift: y = requantize(prev + mu * (x - prev)), prev the token before (quant/ops/token_shift.py)
//
// The rows `prev`, one per context, lie in RAM, the rows `mu`, one per layer, in ROM; a word is read and rewritten by the
// accepted beat itself. Stage 1 holds x, prev and mu as read, stage 2 them with the first token's prev cleared, stage 3 the
// difference, stage 4 the product, stage 5 the sum; it is rounded on its way into the output FIFO.
module token_shift #(
    parameter int CHANNELS   = 64,
    parameter int LANES      = 1,
    parameter int X_BITS     = 8,
    parameter int X_FRAC     = 4,
    parameter int X_SIGNED   = 1,
    parameter int MU_BITS    = 10,
    parameter int MU_FRAC    = 8,
    parameter int OUT_BITS   = 8,
    parameter int OUT_FRAC   = 4,
    parameter int OUT_SIGNED = 1,
    parameter int CONTEXTS   = 1,
    parameter int LAYERS     = 1,
    parameter     MU_FILE    = ""
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
  localparam int Words = ((CONTEXTS - 1) << IndexBits) + Beats;  // word {c, b}: context c, beat b
  localparam int WordBits = IndexBits + UserBits - 1;
  localparam int LayerBits = $clog2(LAYERS);
  localparam int Rows = ((LAYERS - 1) << IndexBits) + Beats;  // row {l, b}: layer l, beat b
  localparam int RowBits = LayerBits + IndexBits;
  localparam int Latency = 5;
  localparam int XW = X_BITS + 1;  // an unsigned x gets a sign
  localparam int MixBits = XW + 1 + MU_BITS + 1;

  logic [ LANES*X_BITS-1:0] row[Words];
  logic [LANES*MU_BITS-1:0] mu [ Rows];
  initial $readmemh(MU_FILE, mu);

  logic [LANES*X_BITS-1:0] x_q, prev_q;
  logic [LANES*MU_BITS-1:0] mu_q;
  logic [LANES*OUT_BITS-1:0] result;
  logic [IndexBits-1:0] index;
  logic [WordBits-1:0] word;
  logic first_q;

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
    if (accept) row[word] <= s_axis_x_tdata;
    prev_q  <= row[word];
    mu_q    <= mu[RowBits'({s_axis_x_tuser>>(UserBits-LayerBits), index})];
    x_q     <= s_axis_x_tdata;
    first_q <= s_axis_x_tuser[0];
  end

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic signed [XW-1:0] x2_q, prev2_q, prev3_q;
    logic signed [XW:0] step3_q;
    logic signed [MU_BITS-1:0] factor2_q, factor3_q;
    logic signed [MixBits-1:0] product_q, base_q, mixed_q;
    always_ff @(posedge clk) begin
      x2_q      <= {X_SIGNED != 0 && x_q[l*X_BITS+X_BITS-1], x_q[l*X_BITS+:X_BITS]};
      prev2_q   <= first_q ? '0 : {X_SIGNED != 0 && prev_q[l*X_BITS+X_BITS-1], prev_q[l*X_BITS+:X_BITS]};
      factor2_q <= mu_q[l*MU_BITS+:MU_BITS];
      step3_q   <= x2_q - prev2_q;
      prev3_q   <= prev2_q;
      factor3_q <= factor2_q;
      product_q <= factor3_q * step3_q;
      base_q    <= MixBits'(prev3_q) <<< MU_FRAC;
      mixed_q   <= base_q + product_q;
    end
    requantize #(
        .IN_BITS   (MixBits),
        .SHIFT     (X_FRAC + MU_FRAC - OUT_FRAC),
        .OUT_BITS  (OUT_BITS),
        .OUT_SIGNED(OUT_SIGNED)
    ) u_requantize (
        .x(mixed_q),
        .y(result[l*OUT_BITS+:OUT_BITS])
    );
  end

  stream_pipe #(
      .WIDTH    (LANES * OUT_BITS),
      .USER_BITS(UserBits),
      .LATENCY  (Latency),
      .CREDITS  (Latency + 2),
      .BEATS    (Beats)
  ) u_pipe (
      .clk,
      .rst,
      .valid (s_axis_x_tvalid),
      .ready (s_axis_x_tready),
      .last  (s_axis_x_tlast),
      .user  (s_axis_x_tuser),
      .result(result),
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
