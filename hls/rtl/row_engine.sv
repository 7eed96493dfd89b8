// Linears whose weights lie in a memory outside, with one array of multipliers, which adds a row's weights as they come
// (docs/memory.md).
//
// A member asks when it holds a whole wave: BATCH tokens or fewer. row_reader.sv goes through its inputs, asks for the rows
// that are needed, PE outputs a beat, and leaves a step for each: the input in every token. It goes ahead of row_adder.sv by
// as many as STEPS. A matrix with more outputs than there are sums is read in tiles, one behind the other.
//
// table: of each member {dense, words of the last tile, words of a tile, tiles, beats of inputs}, each less 1.
// base: of each member and layer {shift of its sums, first beat of its rows}.
module row_engine #(
    parameter int MEMBERS     = 2,
    parameter int LANES       = 1,
    parameter int BATCH       = 1,
    parameter int PE          = 16,
    parameter int X_BITS      = 9,
    parameter int WEIGHT_BITS = 4,
    parameter int SUM_BITS    = 24,
    parameter int SCAN_BITS   = 7,                  // of a beat of inputs
    parameter int WORD_BITS   = 5,                  // of a word of sums
    parameter int TILE_BITS   = 1,
    parameter int BEAT_BITS   = 20,                 // of a beat in the memory
    parameter int LENGTH_BITS = 9,                  // of a run
    parameter int SHIFT_BITS  = 2,
    parameter int LAYER_BITS  = 1,
    parameter int STEPS       = 16,
    parameter int WAVE_BITS   = $clog2(BATCH + 1),
    parameter     TABLE_FILE  = "",
    parameter     BASE_FILE   = ""
) (
    input  logic                                  clk,
    input  logic                                  rst,
    // members
    input  logic [                   MEMBERS-1:0] request,
    input  logic [        MEMBERS*LAYER_BITS-1:0] layer,
    input  logic [         MEMBERS*WAVE_BITS-1:0] tokens,
    output logic [                   MEMBERS-1:0] grant,
    output logic [                   MEMBERS-1:0] selected,
    output logic [                 SCAN_BITS-1:0] beat,
    input  logic [MEMBERS*LANES*BATCH*X_BITS-1:0] x,           // 0 but for the member that was selected a cycle before
    output logic [                   MEMBERS-1:0] valid,
    output logic [            LANES*SUM_BITS-1:0] sum_q,       // and its shift: the cycle after `valid`
    output logic [                SHIFT_BITS-1:0] shift_q,
    input  logic [                   MEMBERS-1:0] room,
    output logic [                   MEMBERS-1:0] done,
    // memory
    output logic [                 BEAT_BITS-1:0] run_first,
    output logic [               LENGTH_BITS-1:0] run_beats,
    output logic                                  run_valid,
    input  logic                                  run_ready,
    input  logic [            PE*WEIGHT_BITS-1:0] data,
    input  logic                                  data_valid,
    output logic                                  data_ready,
    output logic                                  busy         // weights are added
);
  localparam int MemberBits = MEMBERS > 1 ? $clog2(MEMBERS) : 1;
  localparam int Inner = BATCH * X_BITS;
  localparam int JobBits = MemberBits + 1 + WORD_BITS + SHIFT_BITS + WAVE_BITS;
  localparam int Jobs = 4;

  logic step_valid, step_end, step_ready, next_valid, next_end, next_ready;
  logic [Inner-1:0] step_x, next_x;
  logic job_valid, job_last, job_ready, now_valid, now_last, now_ready;
  logic [MemberBits-1:0] job_member, now_member;
  logic [WORD_BITS-1:0] job_words, now_words;
  logic [SHIFT_BITS-1:0] job_shift, shift;
  logic [WAVE_BITS-1:0] job_tokens, now_tokens;

  row_reader #(
      .MEMBERS    (MEMBERS),
      .LANES      (LANES),
      .BATCH      (BATCH),
      .X_BITS     (X_BITS),
      .SCAN_BITS  (SCAN_BITS),
      .WORD_BITS  (WORD_BITS),
      .TILE_BITS  (TILE_BITS),
      .BEAT_BITS  (BEAT_BITS),
      .LENGTH_BITS(LENGTH_BITS),
      .SHIFT_BITS (SHIFT_BITS),
      .LAYER_BITS (LAYER_BITS),
      .TABLE_FILE (TABLE_FILE),
      .BASE_FILE  (BASE_FILE)
  ) u_reader (
      .clk,
      .rst,
      .request,
      .layer,
      .tokens,
      .grant,
      .selected,
      .beat,
      .x,
      .run_first,
      .run_beats,
      .run_valid,
      .run_ready,
      .step_valid,
      .step_end,
      .step_x,
      .step_ready,
      .job_valid,
      .job_member,
      .job_last,
      .job_words,
      .job_shift,
      .job_tokens,
      .job_ready
  );
  fifo #(
      .WIDTH(1 + Inner),
      .DEPTH(STEPS)
  ) u_steps (
      .clk,
      .rst,
      .s_data ({step_end, step_x}),
      .s_valid(step_valid),
      .s_ready(step_ready),
      .m_data ({next_end, next_x}),
      .m_valid(next_valid),
      .m_ready(next_ready)
  );
  fifo #(
      .WIDTH(JobBits),
      .DEPTH(Jobs)
  ) u_jobs (
      .clk,
      .rst,
      .s_data ({job_member, job_last, job_words, job_shift, job_tokens}),
      .s_valid(job_valid),
      .s_ready(job_ready),
      .m_data ({now_member, now_last, now_words, shift, now_tokens}),
      .m_valid(now_valid),
      .m_ready(now_ready)
  );
  row_adder #(
      .MEMBERS    (MEMBERS),
      .LANES      (LANES),
      .BATCH      (BATCH),
      .PE         (PE),
      .X_BITS     (X_BITS),
      .WEIGHT_BITS(WEIGHT_BITS),
      .SUM_BITS   (SUM_BITS),
      .WORD_BITS  (WORD_BITS)
  ) u_adder (
      .clk,
      .rst,
      .step_valid(next_valid),
      .step_end(next_end),
      .step_x(next_x),
      .step_ready(next_ready),
      .job_valid(now_valid),
      .job_member(now_member),
      .job_last(now_last),
      .job_words(now_words),
      .job_tokens(now_tokens),
      .job_ready(now_ready),
      .data,
      .data_valid,
      .data_ready,
      .valid,
      .sum_q,
      .room,
      .done
  );
  always_ff @(posedge clk) shift_q <= shift;
  assign busy = data_valid && data_ready;
endmodule
