// The ring: tokens pass the same blocks once for every layer (docs/ring.md).
//
// `x` are new tokens, `layer` goes to the blocks of a layer, `back` comes from them, `out` are tokens behind the last layer.
// Inside, tuser is {layer, context, first}. Tokens that come round wait in a FIFO that holds all TOKENS that may be inside,
// so `back` waits for nothing but `out`, and the blocks between can always go on. A token that has come round goes before
// a new one.
//
// With WAVES, tokens go round in waves of TOKENS or fewer: a wave is `closed` when so many are in, or when none was `coming`
// for PATIENCE cycles, and has `wave` tokens; the next one begins when it has left and is `taken` behind the ring.
module ring #(
    parameter int CHANNELS = 64,
    parameter int LANES    = 1,
    parameter int X_BITS   = 8,
    parameter int X_SIGNED = 1,
    parameter int BITS     = 12,  // of a channel inside
    parameter int LAYERS   = 2,
    parameter int CONTEXTS = 1,   // outside
    parameter int TOKENS   = 4,
    parameter int WAVES    = 0,
    parameter int PATIENCE = 64
) (
    input  logic                                       clk,
    input  logic                                       rst,
    output logic [               $clog2(TOKENS+1)-1:0] wave,
    output logic                                       closed,
    input  logic                                       taken,
    input  logic                                       coming,               // a token is on its way to `x`
    input  logic [                   LANES*X_BITS-1:0] s_axis_x_tdata,
    input  logic                                       s_axis_x_tvalid,
    output logic                                       s_axis_x_tready,
    input  logic                                       s_axis_x_tlast,
    input  logic [                 $clog2(CONTEXTS):0] s_axis_x_tuser,
    input  logic [                     LANES*BITS-1:0] s_axis_back_tdata,
    input  logic                                       s_axis_back_tvalid,
    output logic                                       s_axis_back_tready,
    input  logic                                       s_axis_back_tlast,
    input  logic [$clog2(CONTEXTS) + $clog2(LAYERS):0] s_axis_back_tuser,
    output logic [                     LANES*BITS-1:0] m_axis_layer_tdata,
    output logic                                       m_axis_layer_tvalid,
    input  logic                                       m_axis_layer_tready,
    output logic                                       m_axis_layer_tlast,
    output logic [$clog2(CONTEXTS) + $clog2(LAYERS):0] m_axis_layer_tuser,
    output logic [                     LANES*BITS-1:0] m_axis_out_tdata,
    output logic                                       m_axis_out_tvalid,
    input  logic                                       m_axis_out_tready,
    output logic                                       m_axis_out_tlast,
    output logic [                 $clog2(CONTEXTS):0] m_axis_out_tuser
);
  localparam int OuterBits = 1 + $clog2(CONTEXTS);
  localparam int UserBits = OuterBits + $clog2(LAYERS);
  localparam int Beats = CHANNELS / LANES;
  localparam int CountBits = $clog2(TOKENS + 1);

  // tlast says what the beat counters know.
  logic unused_last;
  assign unused_last = ^{s_axis_x_tlast, s_axis_back_tlast};

  // Where a beat goes that comes from the blocks: on to `out`, or round.
  logic out_ready, round_ready, leaves, back_last, beat_last;
  logic [UserBits-1:0] number;
  assign number = s_axis_back_tuser >> OuterBits;
  assign leaves = number == UserBits'(LAYERS - 1);
  assign s_axis_back_tready = leaves ? out_ready : round_ready;
  wire back = s_axis_back_tvalid && s_axis_back_tready;

  beat_counter #(
      .BEATS(Beats)
  ) u_back (
      .clk,
      .rst,
      .step (back),
      .index(),
      .last (back_last)
  );
  fifo #(
      .WIDTH(LANES * BITS + 1 + OuterBits),
      .DEPTH(2)
  ) u_out (
      .clk,
      .rst,
      .s_data ({s_axis_back_tuser[OuterBits-1:0], back_last, s_axis_back_tdata}),
      .s_valid(s_axis_back_tvalid && leaves),
      .s_ready(out_ready),
      .m_data ({m_axis_out_tuser, m_axis_out_tlast, m_axis_out_tdata}),
      .m_valid(m_axis_out_tvalid),
      .m_ready(m_axis_out_tready)
  );

  logic [LANES*BITS-1:0] round_data, new_data;
  logic [UserBits-1:0] round_user;
  logic round_valid, ready, inside_q, round_q;
  logic [CountBits-1:0] tokens_q;  // inside
  fifo #(
      .WIDTH(LANES * BITS + UserBits),
      .DEPTH(TOKENS * Beats)
  ) u_round (
      .clk,
      .rst,
      .s_data ({s_axis_back_tuser + (UserBits'(1) << OuterBits), s_axis_back_tdata}),
      .s_valid(s_axis_back_tvalid && !leaves),
      .s_ready(round_ready),
      .m_data ({round_user, round_data}),
      .m_valid(round_valid),
      .m_ready(round && ready)
  );

  // The turnstile: it chooses at a token's first beat.
  wire  round = inside_q ? round_q : round_valid;
  logic room;
  wire  valid = round ? round_valid : s_axis_x_tvalid && (inside_q || room);
  wire  move = valid && ready;
  wire  enter = move && !inside_q && !round;
  assign s_axis_x_tready = ready && !round && (inside_q || room);

  if (WAVES != 0) begin : gen_waves
    localparam int WaitBits = $clog2(PATIENCE + 1);
    logic [WaitBits-1:0] wait_q;
    wire full = wave == CountBits'(TOKENS);
    assign room = !closed && !full;
    always_ff @(posedge clk) begin
      if (rst || (closed && tokens_q == '0 && taken)) begin
        wave   <= '0;
        closed <= 1'b0;
        wait_q <= '0;
      end else begin
        wave   <= wave + CountBits'(enter);
        closed <= closed || full || wait_q == WaitBits'(PATIENCE);
        wait_q <= wave == '0 || s_axis_x_tvalid || coming || closed ? '0 : wait_q + 1'b1;
      end
    end
  end else begin : gen_flow
    logic unused_taken;
    assign unused_taken = taken || coming;
    assign wave = tokens_q;
    assign closed = 1'b0;
    assign room = tokens_q != CountBits'(TOKENS);
  end

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    assign new_data[l*BITS+:BITS] = BITS'($signed(
        {X_SIGNED != 0 && s_axis_x_tdata[l*X_BITS+X_BITS-1], s_axis_x_tdata[l*X_BITS+:X_BITS]}
    ));
  end

  beat_counter #(
      .BEATS(Beats)
  ) u_beat (
      .clk,
      .rst,
      .step (move),
      .index(),
      .last (beat_last)
  );
  always_ff @(posedge clk) begin
    if (rst) begin
      inside_q <= 1'b0;
      round_q  <= 1'b0;
      tokens_q <= '0;
    end else begin
      if (move) inside_q <= !beat_last;
      if (!inside_q) round_q <= round_valid;
      tokens_q <= tokens_q + CountBits'(enter) - CountBits'(back && leaves && back_last);
    end
  end

  fifo #(
      .WIDTH(LANES * BITS + 1 + UserBits),
      .DEPTH(2)
  ) u_layer (
      .clk,
      .rst,
      .s_data ({round ? round_user : UserBits'(s_axis_x_tuser), beat_last, round ? round_data : new_data}),
      .s_valid(valid),
      .s_ready(ready),
      .m_data ({m_axis_layer_tuser, m_axis_layer_tlast, m_axis_layer_tdata}),
      .m_valid(m_axis_layer_tvalid),
      .m_ready(m_axis_layer_tready)
  );
endmodule
