// WKV: y = (a + e^(u+k) v) / (b + e^(u+k));  a <- e^w a + e^k v;  b <- e^w b + e^k   (quant/ops/wkv.py)
//
// In base 2, with a and b as mantissas under one exponent per channel. The states lie in RAM, one word of LANES states
// per context and beat, read in cycle 4 after a beat was accepted and written in cycle 13: a loop of 10 cycles. The lanes'
// stages are listed in wkv_lane.sv.
module wkv #(
    parameter int CHANNELS      = 64,
    parameter int LANES         = 1,
    parameter int K_BITS        = 8,
    parameter int V_BITS        = 8,
    parameter int V_FRAC        = 4,
    parameter int V_SIGNED      = 1,
    parameter int OUT_BITS      = 10,
    parameter int OUT_FRAC      = 6,
    parameter int OUT_SIGNED    = 1,
    parameter int KEY_BITS      = 17,
    parameter int B_BITS        = 24,
    parameter int E_BITS        = 8,
    parameter int EMPTY         = -65,
    parameter int HALVINGS_BITS = 6,
    parameter int K_DEPTH       = 2,
    parameter int V_DEPTH       = 2,
    parameter int WIDE          = 25,
    parameter int CONTEXTS      = 1,
    parameter int LAYERS        = 1,
    parameter     BONUS_FILE    = "",
    parameter     DECAY_FILE    = "",
    parameter     KEY_FILE      = "",
    parameter     EXP2_FILE     = ""
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic [  LANES*K_BITS-1:0] s_axis_k_tdata,
    input  logic                      s_axis_k_tvalid,
    output logic                      s_axis_k_tready,
    input  logic                      s_axis_k_tlast,
    input  logic [$clog2(CONTEXTS):0] s_axis_k_tuser,
    input  logic [  LANES*V_BITS-1:0] s_axis_v_tdata,
    input  logic                      s_axis_v_tvalid,
    output logic                      s_axis_v_tready,
    input  logic                      s_axis_v_tlast,
    input  logic [$clog2(CONTEXTS):0] s_axis_v_tuser,
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
  localparam int Latency = 15 + V_BITS - (V_SIGNED != 0 ? 1 : 0) + OUT_FRAC - V_FRAC;
  localparam int Loop = 10;
  localparam int DecayBits = HALVINGS_BITS + 16;
  localparam int BonusBits = 16;
  localparam int B = B_BITS - 1;  // the denominator's sign bit is always 0
  localparam int A = B_BITS + V_BITS - (V_SIGNED != 0 ? 1 : 0);
  localparam int StateBits = A + B + E_BITS;

  logic [  LANES*K_BITS-1:0] k;
  logic [  LANES*V_BITS-1:0] v;
  logic [LANES*OUT_BITS-1:0] result;
  logic valid, ready, last;
  logic [UserBits-1:0] user;

  // The two streams carry the same markers.
  logic unused_markers;
  assign unused_markers = ^{s_axis_v_tlast, s_axis_v_tuser};

  stream_join #(
      .USER_BITS(UserBits),
      .A_WIDTH  (LANES * K_BITS),
      .B_WIDTH  (LANES * V_BITS),
      .A_DEPTH  (K_DEPTH),
      .B_DEPTH  (V_DEPTH)
  ) u_join (
      .clk,
      .rst,
      .s_axis_a_tdata(s_axis_k_tdata),
      .s_axis_a_tvalid(s_axis_k_tvalid),
      .s_axis_a_tready(s_axis_k_tready),
      .s_axis_a_tlast(s_axis_k_tlast),
      .s_axis_a_tuser(s_axis_k_tuser),
      .s_axis_b_tdata(s_axis_v_tdata),
      .s_axis_b_tvalid(s_axis_v_tvalid),
      .s_axis_b_tready(s_axis_v_tready),
      .a(k),
      .b(v),
      .last,
      .user,
      .valid,
      .ready
  );

  // valid_q[n]: a beat was accepted n cycles ago. Beats keep their order, so a counter at each stage knows the channel.
  logic [13:1] valid_q;
  logic first5;
  logic [UserBits-1:0] context1, context4, context13;
  logic [WordBits-1:0] read_word, write_word;
  logic [IndexBits-1:0] bonus_index, read_index, write_index;
  // Bonus and decay of each channel, and the states: in block RAM from the size on that takes a LUT or more per bit.
  (* ram_style = Rows > 32 ? "block" : "auto" *)
  logic [LANES*BonusBits-1:0] bonus[Rows];
  logic [LANES*BonusBits-1:0] bonus2_q, bonus3_q;
  (* ram_style = Rows > 32 ? "block" : "auto" *)
  logic [LANES*DecayBits-1:0] decay[Rows];
  logic [LANES*DecayBits-1:0] decay5_q;
  (* ram_style = Words > 32 ? "block" : "auto" *)
  logic [LANES*StateBits-1:0] state[Words];
  logic [LANES*StateBits-1:0] state_q, next;
  initial $readmemh(BONUS_FILE, bonus);
  initial $readmemh(DECAY_FILE, decay);

  beat_counter #(
      .BEATS(Beats)
  ) u_bonus_index (
      .clk,
      .rst,
      .step (valid_q[1]),
      .index(bonus_index),
      .last ()
  );
  beat_counter #(
      .BEATS(Beats)
  ) u_read_index (
      .clk,
      .rst,
      .step (valid_q[4]),
      .index(read_index),
      .last ()
  );
  beat_counter #(
      .BEATS(Beats)
  ) u_write_index (
      .clk,
      .rst,
      .step (valid_q[13]),
      .index(write_index),
      .last ()
  );
  delay #(
      .WIDTH (1),
      .CYCLES(5)
  ) u_first5 (
      .clk,
      .x(user[0]),
      .y(first5)
  );
  delay #(
      .WIDTH (UserBits),
      .CYCLES(1)
  ) u_context1 (
      .clk,
      .x(user >> 1),
      .y(context1)
  );
  delay #(
      .WIDTH (UserBits),
      .CYCLES(3)
  ) u_context4 (
      .clk,
      .x(context1),
      .y(context4)
  );
  delay #(
      .WIDTH (UserBits),
      .CYCLES(9)
  ) u_context13 (
      .clk,
      .x(context4),
      .y(context13)
  );
  assign read_word  = WordBits'({context4, read_index});
  assign write_word = WordBits'({context13, write_index});

  always_ff @(posedge clk) begin
    valid_q  <= rst ? '0 : {valid_q[12:1], valid && ready};
    bonus2_q <= bonus[RowBits'({context1>>(UserBits-1-LayerBits), bonus_index})];
    bonus3_q <= bonus2_q;
    decay5_q <= decay[RowBits'({context4>>(UserBits-1-LayerBits), read_index})];
    state_q  <= state[read_word];
  end

  always_ff @(posedge clk) begin
    if (valid_q[13]) state[write_word] <= next;
  end

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    wkv_lane #(
        .K_BITS       (K_BITS),
        .V_BITS       (V_BITS),
        .V_FRAC       (V_FRAC),
        .V_SIGNED     (V_SIGNED),
        .OUT_BITS     (OUT_BITS),
        .OUT_FRAC     (OUT_FRAC),
        .OUT_SIGNED   (OUT_SIGNED),
        .KEY_BITS     (KEY_BITS),
        .A_BITS       (A),
        .B_BITS       (B),
        .E_BITS       (E_BITS),
        .EMPTY        (EMPTY),
        .HALVINGS_BITS(HALVINGS_BITS),
        .WIDE         (WIDE),
        .KEY_FILE     (KEY_FILE),
        .EXP2_FILE    (EXP2_FILE)
    ) u_lane (
        .clk,
        .k(k[l*K_BITS+:K_BITS]),
        .v(v[l*V_BITS+:V_BITS]),
        .bonus(bonus3_q[l*BonusBits+:BonusBits]),
        .decay(decay5_q[l*DecayBits+:DecayBits]),
        .first(first5),
        .read_a(state_q[l*StateBits+B+E_BITS+:A]),
        .read_b(state_q[l*StateBits+E_BITS+:B]),
        .read_e(state_q[l*StateBits+:E_BITS]),
        .next_a(next[l*StateBits+B+E_BITS+:A]),
        .next_b(next[l*StateBits+E_BITS+:B]),
        .next_e(next[l*StateBits+:E_BITS]),
        .y(result[l*OUT_BITS+:OUT_BITS])
    );
  end

  stream_pipe #(
      .WIDTH    (LANES * OUT_BITS),
      .USER_BITS(UserBits),
      .LATENCY  (Latency),
      .CREDITS  (Latency + 2),
      .BEATS    (Beats),
      .LOOP     (Loop)
  ) u_pipe (
      .clk,
      .rst,
      .valid,
      .ready,
      .last,
      .user,
      .result,
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
