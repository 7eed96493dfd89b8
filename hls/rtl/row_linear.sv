// A Linear whose weights lie in a memory outside (row_engine.sv): a wave of tokens, its request, and its results.
//
// It takes the tokens of a wave, `wave` of them once it is `closed`, then asks. While it is selected, the engine reads beat
// after beat of all tokens at once. Sums come tile by tile, token by token, LANES a cycle, each a cycle behind its
// `valid`, for which there was `room`; they are shifted by what the layer's weights are coarser, re-quantized, and sent
// token by token. Where they come in another order, they are kept until all are there. `whole`: the wave is here.
module row_linear #(
    parameter int INPUTS = 64,
    parameter int OUTPUTS = 64,
    parameter int LANES = 1,
    parameter int BATCH = 1,
    parameter int TILES = 1,
    parameter int TILE_BEATS = 64,  // sums of a tile, LANES a beat
    parameter int LAST_BEATS = 64,  // of the last one
    parameter int X_BITS = 8,
    parameter int X_FRAC = 4,
    parameter int X_SIGNED = 1,
    parameter int WEIGHT_FRAC = 7,
    parameter int OUT_BITS = 8,
    parameter int OUT_FRAC = 4,
    parameter int OUT_SIGNED = 1,
    parameter int CONTEXTS = 1,
    parameter int LAYERS = 1,
    parameter int SCAN_BITS = 6,  // of the engine: its count of beats, its inputs, its sums and their shift, layers
    parameter int BUS_BITS = 9,
    parameter int SUM_BITS = 24,
    parameter int SHIFT_BITS = 2,
    parameter int LAYER_BITS = 1,
    parameter int WAVE_BITS = $clog2(BATCH + 1)
) (
    input  logic                            clk,
    input  logic                            rst,
    input  logic [        LANES*X_BITS-1:0] s_axis_x_tdata,
    input  logic                            s_axis_x_tvalid,
    output logic                            s_axis_x_tready,
    input  logic                            s_axis_x_tlast,
    input  logic [      $clog2(CONTEXTS):0] s_axis_x_tuser,
    output logic [      LANES*OUT_BITS-1:0] m_axis_tdata,
    output logic                            m_axis_tvalid,
    input  logic                            m_axis_tready,
    output logic                            m_axis_tlast,
    output logic [      $clog2(CONTEXTS):0] m_axis_tuser,
    input  logic [           WAVE_BITS-1:0] wave,
    input  logic                            closed,
    output logic                            whole,
    output logic                            request,
    output logic [          LAYER_BITS-1:0] layer,
    output logic [           WAVE_BITS-1:0] tokens,
    input  logic                            grant,
    input  logic                            selected,
    input  logic [           SCAN_BITS-1:0] beat,
    output logic [LANES*BATCH*BUS_BITS-1:0] x,
    input  logic                            valid,
    input  logic [      LANES*SUM_BITS-1:0] sum_q,
    input  logic [          SHIFT_BITS-1:0] shift_q,
    output logic                            room,
    input  logic                            done
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the layer, the context, and the first token's mark
  localparam int Beats = INPUTS / LANES;
  localparam int BeatBits = Beats > 1 ? $clog2(Beats) : 1;
  localparam int TokenBits = BATCH > 1 ? $clog2(BATCH) : 1;
  localparam int OutBeats = OUTPUTS / LANES;
  localparam int OutBits = $clog2(OutBeats + TILE_BEATS + 1);
  localparam int SentBits = TILE_BEATS > 1 ? $clog2(TILE_BEATS) : 1;
  localparam int TileBits = TILES > 1 ? $clog2(TILES) : 1;
  localparam int Shifted = SUM_BITS + (1 << SHIFT_BITS) - 1;
  localparam int Depth = 8;
  localparam int DepthBits = $clog2(Depth + 1);

  // tlast says what the beat counter knows; the engine's count of beats is that of its longest token.
  logic unused;
  assign unused = ^{s_axis_x_tlast, beat};

  // The wave.
  logic [BATCH*UserBits-1:0] users_q;
  logic [BeatBits-1:0] fill_beat;
  logic fill_last, granted_q, drained;
  wire accept = s_axis_x_tvalid && s_axis_x_tready;
  assign whole = closed && tokens == wave && tokens != '0;
  logic whole_q;
  assign s_axis_x_tready = !whole_q && tokens != WAVE_BITS'(BATCH);
  assign request = whole_q && !granted_q;
  assign layer = LAYER_BITS'(users_q[UserBits-1:0] >> (UserBits - $clog2(LAYERS)));

  beat_counter #(
      .BEATS(Beats)
  ) u_fill (
      .clk,
      .rst,
      .step (accept),
      .index(fill_beat),
      .last (fill_last)
  );
  always_ff @(posedge clk) begin
    if (rst || drained) begin
      tokens    <= '0;
      granted_q <= 1'b0;
      whole_q   <= 1'b0;
    end else begin
      tokens <= tokens + WAVE_BITS'(accept && fill_last);
      if (grant) granted_q <= 1'b1;
      if (whole) whole_q <= 1'b1;
    end
  end
  always_ff @(posedge clk) begin
    if (accept) users_q[TokenBits'(tokens)*UserBits+:UserBits] <= s_axis_x_tuser;
  end
  for (genvar b = 0; b < BATCH; b++) begin : gen_token
    logic [LANES*X_BITS-1:0] bank[2**BeatBits];
    logic [LANES*X_BITS-1:0] beat_q;
    always_ff @(posedge clk) begin
      if (accept && tokens == WAVE_BITS'(b)) bank[fill_beat] <= s_axis_x_tdata;
      if (selected && tokens > WAVE_BITS'(b)) beat_q <= bank[beat[BeatBits-1:0]];
      else beat_q <= '0;
    end
    for (genvar l = 0; l < LANES; l++) begin : gen_lane
      assign x[(l*BATCH+b)*BUS_BITS+:BUS_BITS] = BUS_BITS'($signed(
          {X_SIGNED != 0 && beat_q[l*X_BITS+X_BITS-1], beat_q[l*X_BITS+:X_BITS]}
      ));
    end
  end

  // Which of the sums come: of a tile, a token, and a beat of it.
  logic [SentBits-1:0] sent_q;
  logic [TokenBits-1:0] token_q;
  logic [TileBits-1:0] tile_q;
  logic [OutBits-1:0] index;  // of a token's beat of outputs
  wire tile_last = tile_q == TileBits'(TILES - 1);
  wire sent_last = sent_q == (tile_last ? SentBits'(LAST_BEATS - 1) : SentBits'(TILE_BEATS - 1));
  wire token_last = WAVE_BITS'(token_q) + 1'b1 == tokens;
  assign index = OutBits'(tile_q) * OutBits'(TILE_BEATS) + OutBits'(sent_q);
  wire keep = valid && index < OutBits'(OutBeats);
  always_ff @(posedge clk) begin
    if (rst) begin
      sent_q  <= '0;
      token_q <= '0;
      tile_q  <= '0;
    end else if (valid) begin
      sent_q <= sent_last ? '0 : sent_q + 1'b1;
      if (sent_last) token_q <= token_last ? '0 : token_q + 1'b1;
      if (sent_last && token_last) tile_q <= tile_last ? '0 : tile_q + 1'b1;
    end
  end

  logic [LANES*OUT_BITS-1:0] out, out_q, ready_data;
  logic [UserBits-1:0] ready_user;
  logic [OutBits-1:0] index1_q, index_q;
  logic [TokenBits-1:0] place1_q, place_q;
  logic kept1_q, kept_q, ready_valid, ready_last;
  for (genvar l = 0; l < LANES; l++) begin : gen_sum
    logic [Shifted-1:0] shifted;
    assign shifted = Shifted'($signed(sum_q[l*SUM_BITS+:SUM_BITS])) << shift_q;
    requantize #(
        .IN_BITS   (Shifted),
        .SHIFT     (X_FRAC + WEIGHT_FRAC - OUT_FRAC),
        .OUT_BITS  (OUT_BITS),
        .OUT_SIGNED(OUT_SIGNED)
    ) u_requantize (
        .x(shifted),
        .y(out[l*OUT_BITS+:OUT_BITS])
    );
  end
  always_ff @(posedge clk) begin
    kept1_q  <= !rst && keep;
    kept_q   <= !rst && kept1_q;
    out_q    <= out;
    index1_q <= index;
    index_q  <= index1_q;
    place1_q <= token_q;
    place_q  <= place1_q;
  end

  logic fifo_room;
  wire  leave = m_axis_tvalid && m_axis_tready;
  if (TILES > 1 && BATCH > 1) begin : gen_reorder
    // Kept until the last tile is there, then sent token by token: stage 1 holds what was read.
    localparam int Words = BATCH * OutBeats;
    localparam int PlaceBits = Words > 1 ? $clog2(Words) : 1;
    logic [LANES*OUT_BITS-1:0] results[Words];
    logic [PlaceBits-1:0] read_q;
    logic [OutBits-1:0] sends_q;
    logic [TokenBits-1:0] sender_q;
    logic sending_q, valid_q, last_q, done_q;
    logic [LANES*OUT_BITS-1:0] read_data_q;
    logic [UserBits-1:0] user_q;
    wire send = sending_q && fifo_room;
    wire beat_last = sends_q == OutBits'(OutBeats - 1);
    wire all_last = beat_last && WAVE_BITS'(sender_q) + 1'b1 == tokens;
    always_ff @(posedge clk) begin
      if (kept_q) results[PlaceBits'(place_q)*PlaceBits'(OutBeats)+PlaceBits'(index_q)] <= out_q;
      read_data_q <= results[read_q];
      user_q      <= users_q[sender_q*UserBits+:UserBits];
      last_q      <= beat_last;
    end
    always_ff @(posedge clk) begin
      if (rst) begin
        sending_q <= 1'b0;
        sends_q   <= '0;
        sender_q  <= '0;
        read_q    <= '0;
        valid_q   <= 1'b0;
        done_q    <= 1'b0;
      end else begin
        done_q <= done;
        if (done_q) sending_q <= 1'b1;
        else if (send && all_last) sending_q <= 1'b0;
        if (send) begin
          sends_q  <= beat_last ? '0 : sends_q + 1'b1;
          sender_q <= all_last ? '0 : sender_q + TokenBits'(beat_last);
          read_q   <= all_last ? '0 : read_q + 1'b1;
        end
        valid_q <= send;
      end
    end
    assign room = 1'b1;
    assign drained = send && all_last;
    assign ready_valid = valid_q;
    assign ready_data = read_data_q;
    assign ready_last = last_q;
    assign ready_user = user_q;

    logic [DepthBits-1:0] reserved_q;
    assign fifo_room = reserved_q != DepthBits'(Depth);
    always_ff @(posedge clk) reserved_q <= rst ? '0 : reserved_q + DepthBits'(send) - DepthBits'(leave);
  end else begin : gen_order
    logic [DepthBits-1:0] reserved_q;
    assign fifo_room = reserved_q != DepthBits'(Depth);
    always_ff @(posedge clk) reserved_q <= rst ? '0 : reserved_q + DepthBits'(keep) - DepthBits'(leave);
    logic [UserBits-1:0] user1_q, user_q;
    always_ff @(posedge clk) begin
      user1_q <= users_q[token_q*UserBits+:UserBits];
      user_q  <= user1_q;
    end
    logic unused_place;
    assign unused_place = ^place_q;
    assign room = fifo_room;
    assign drained = done;
    assign ready_valid = kept_q;
    assign ready_data = out_q;
    assign ready_last = index_q == OutBits'(OutBeats - 1);
    assign ready_user = user_q;
  end

  fifo #(
      .WIDTH(LANES * OUT_BITS + 1 + UserBits),
      .DEPTH(Depth)
  ) u_fifo (
      .clk,
      .rst,
      .s_data ({ready_user, ready_last, ready_data}),
      .s_valid(ready_valid),
      .s_ready(),
      .m_data ({m_axis_tuser, m_axis_tlast, m_axis_tdata}),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
endmodule
