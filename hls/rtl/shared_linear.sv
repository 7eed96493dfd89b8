// A Linear that the engine computes (engine.sv; timing in docs/streams.md): its banks, its requests and its results.
//
// A token lies in one of two banks. `request`: a bank is full of which a result word is not granted yet, and the output
// FIFO, whose room is taken by the grant, has a place for that word; so a word that is granted never waits. `first`: that
// word is its token's first. While `selected`, the engine reads beat after beat; `done` comes a cycle after a word's last
// step, and its sums, LANES a beat, when the engine has them.
module shared_linear #(
    parameter int INPUTS      = 64,
    parameter int OUTPUTS     = 64,
    parameter int LANES       = 1,
    parameter int WORD        = 8,
    parameter int X_BITS      = 8,
    parameter int X_FRAC      = 4,
    parameter int X_SIGNED    = 1,
    parameter int WEIGHT_FRAC = 7,
    parameter int OUT_BITS    = 8,
    parameter int OUT_FRAC    = 4,
    parameter int OUT_SIGNED  = 1,
    parameter int CONTEXTS    = 1,
    parameter int BEAT_BITS   = 6,   // of the engine: its count of beats, its inputs, its sums
    parameter int BUS_BITS    = 8,
    parameter int SUM_BITS    = 22
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
    output logic [$clog2(CONTEXTS):0] m_axis_tuser,
    output logic                      request,
    output logic                      first,
    input  logic                      grant,
    input  logic                      selected,
    input  logic [     BEAT_BITS-1:0] beat,
    output logic [LANES*BUS_BITS-1:0] x,                // 0 but for the cycle after it is selected
    input  logic                      done,
    input  logic                      valid,
    input  logic [LANES*SUM_BITS-1:0] sum
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the context, and the first token's mark
  localparam int Beats = INPUTS / LANES;
  localparam int Words = OUTPUTS / WORD;
  localparam int BeatBits = Beats > 1 ? $clog2(Beats) : 1;
  localparam int WordBits = Words > 1 ? $clog2(Words) : 1;

  // The banks: filled beat by beat, free again after their token's last step.
  (* ram_style = 2 * INPUTS * X_BITS <= 8192 ? "distributed" : "auto" *)
  logic [LANES*X_BITS-1:0] bank[2**(BeatBits+1)];
  logic [LANES*X_BITS-1:0] beat_q;
  logic [1:0] full_q, pending_q;  // banks, and those of them with words to be granted
  logic [2*UserBits-1:0] bank_user_q;
  logic fill_q, grant_q, next_q, drain_q;  // the bank that is filled, whose words are granted, then begin, then run
  logic begin_q;  // the first step is in the next cycle
  logic [BeatBits-1:0] fill_beat;
  logic [WordBits-1:0] word;
  logic fill_last, grant_last, done_last;

  // tlast says what the beat counter knows; the engine's count of beats is that of its longest token.
  logic unused_last, unused_beat;
  assign unused_last = s_axis_x_tlast;
  assign unused_beat = ^beat;

  logic room;
  assign request = pending_q != 2'd0 && room;
  assign first   = word == '0;

  wire accept = s_axis_x_tvalid && s_axis_x_tready;
  wire filled = accept && fill_last;
  wire granted = grant && grant_last;
  wire drained = done && done_last;
  assign s_axis_x_tready = full_q != 2'd2;

  beat_counter #(
      .BEATS(Beats)
  ) u_fill (
      .clk,
      .rst,
      .step (accept),
      .index(fill_beat),
      .last (fill_last)
  );
  beat_counter #(
      .BEATS(Words)
  ) u_grant (
      .clk,
      .rst,
      .step (grant),
      .index(word),
      .last (grant_last)
  );
  beat_counter #(
      .BEATS(Words)
  ) u_done (
      .clk,
      .rst,
      .step (done),
      .index(),
      .last (done_last)
  );

  always_ff @(posedge clk) begin
    if (accept) begin
      bank[{fill_q, fill_beat}] <= s_axis_x_tdata;
      bank_user_q[fill_q*UserBits+:UserBits] <= s_axis_x_tuser;
    end
    if (selected) beat_q <= bank[{drain_q, beat[BeatBits-1:0]}];
    else beat_q <= '0;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      full_q    <= '0;
      pending_q <= '0;
      fill_q    <= 1'b0;
      grant_q   <= 1'b0;
      begin_q   <= 1'b0;
    end else begin
      full_q    <= full_q + 2'(filled) - 2'(drained);
      pending_q <= pending_q + 2'(filled) - 2'(granted);
      if (filled) fill_q <= !fill_q;
      if (granted) grant_q <= !grant_q;
      begin_q <= grant;
    end
  end

  always_ff @(posedge clk) begin
    next_q <= grant_q;
    if (begin_q) drain_q <= next_q;
  end

  for (genvar l = 0; l < LANES; l++) begin : gen_x
    assign x[l*BUS_BITS+:BUS_BITS] = BUS_BITS'($signed(
        {X_SIGNED != 0 && beat_q[l*X_BITS+X_BITS-1], beat_q[l*X_BITS+:X_BITS]}
    ));
  end

  result_fifo #(
      .OUTPUTS   (OUTPUTS),
      .LANES     (LANES),
      .WORD      (WORD),
      .PLACES    (2),
      .SUM_BITS  (SUM_BITS),
      .SHIFT     (X_FRAC + WEIGHT_FRAC - OUT_FRAC),
      .OUT_BITS  (OUT_BITS),
      .OUT_SIGNED(OUT_SIGNED),
      .USER_BITS (UserBits)
  ) u_results (
      .clk,
      .rst,
      .take(grant),
      .user(bank_user_q[grant_q*UserBits+:UserBits]),
      .room,
      .valid,
      .sum,
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
