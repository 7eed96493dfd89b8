// The half of row_engine.sv that knows which rows are needed, and goes ahead of the half that adds them.
//
// It takes a member that asks, the first in line first. For each tile of its matrix it leaves a job, and passes its inputs,
// beat by beat, lane by lane: one that is not 0 in some token, or each if the member is dense, asks for its row and leaves a
// step; the tile's end is a step, too. A beat takes a cycle to fetch, and one for each of its steps, at least one; while it is
// looked at, its member reads the next one.
module row_reader #(
    parameter int MEMBERS     = 2,
    parameter int LANES       = 1,
    parameter int BATCH       = 1,
    parameter int X_BITS      = 9,
    parameter int SCAN_BITS   = 7,                                  // of a beat of inputs
    parameter int WORD_BITS   = 5,                                  // of a word of sums
    parameter int TILE_BITS   = 1,
    parameter int BEAT_BITS   = 20,                                 // of a beat in the memory
    parameter int LENGTH_BITS = 9,                                  // of a run
    parameter int SHIFT_BITS  = 2,
    parameter int LAYER_BITS  = 1,
    parameter int MEMBER_BITS = MEMBERS > 1 ? $clog2(MEMBERS) : 1,
    parameter int WAVE_BITS   = $clog2(BATCH + 1),
    parameter     TABLE_FILE  = "",
    parameter     BASE_FILE   = ""
) (
    input  logic                                  clk,
    input  logic                                  rst,
    input  logic [                   MEMBERS-1:0] request,
    input  logic [        MEMBERS*LAYER_BITS-1:0] layer,
    input  logic [         MEMBERS*WAVE_BITS-1:0] tokens,
    output logic [                   MEMBERS-1:0] grant,
    output logic [                   MEMBERS-1:0] selected,
    output logic [                 SCAN_BITS-1:0] beat,
    input  logic [MEMBERS*LANES*BATCH*X_BITS-1:0] x,
    output logic [                 BEAT_BITS-1:0] run_first,
    output logic [               LENGTH_BITS-1:0] run_beats,
    output logic                                  run_valid,
    input  logic                                  run_ready,
    output logic                                  step_valid,
    output logic                                  step_end,
    output logic [              BATCH*X_BITS-1:0] step_x,
    input  logic                                  step_ready,
    output logic                                  job_valid,
    output logic [               MEMBER_BITS-1:0] job_member,
    output logic                                  job_last,
    output logic [                 WORD_BITS-1:0] job_words,
    output logic [                SHIFT_BITS-1:0] job_shift,
    output logic [                 WAVE_BITS-1:0] job_tokens,
    input  logic                                  job_ready
);
  localparam int TableBits = 1 + 2 * WORD_BITS + TILE_BITS + SCAN_BITS;
  localparam int Inner = BATCH * X_BITS;  // an input of every token

  logic [TableBits-1:0] table_rom[MEMBERS];
  logic [SHIFT_BITS+BEAT_BITS-1:0] base_rom[MEMBERS<<LAYER_BITS];
  initial $readmemh(TABLE_FILE, table_rom);
  initial $readmemh(BASE_FILE, base_rom);

  typedef enum logic [2:0] {
    Idle,
    Load,   // the member's table
    Begin,  // a tile; its first beat is read
    Fetch,  // what a member has read
    Look,   // at it
    End     // of the tile
  } state_e;
  state_e state_q;

  logic [MEMBER_BITS-1:0] chosen;
  logic [LAYER_BITS-1:0] layer_q;
  logic dense_q, beat_last_q;
  logic [WORD_BITS-1:0] last_words_q, words_q;
  logic [TILE_BITS-1:0] tiles_q, tile_q;
  logic [SCAN_BITS-1:0] beats_q;
  logic [BEAT_BITS-1:0] row_q, row, lane_row;  // of the beat's first lane; and from there to the lane that is passed
  logic [LANES-1:0] passed_q, found_q, left, lowest;
  logic [LANES*Inner-1:0] inputs, inputs_q;

  always_comb begin
    chosen = '0;
    for (int m = MEMBERS - 1; m >= 0; m--) if (request[m]) chosen = MEMBER_BITS'(m);
    grant = '0;
    grant[chosen] = state_q == Idle && request != '0;
    selected = '0;
    selected[job_member] = state_q == Begin || state_q == Fetch || state_q == Look;
    inputs = '0;
    for (int m = 0; m < MEMBERS; m++) inputs = inputs | x[m*LANES*Inner+:LANES*Inner];
  end

  for (genvar l = 0; l < LANES; l++) begin : gen_found
    always_ff @(posedge clk) begin
      if (state_q == Fetch) found_q[l] <= dense_q || inputs[l*Inner+:Inner] != '0;
    end
  end
  assign left   = found_q & ~passed_q;
  assign lowest = left & (~left + 1'b1);
  assign row    = BEAT_BITS'(job_words) + 1'b1;
  always_comb begin
    step_x   = '0;
    lane_row = '0;
    for (int l = 0; l < LANES; l++) begin
      if (lowest[l]) begin
        step_x   = step_x | inputs_q[l*Inner+:Inner];
        lane_row = lane_row | BEAT_BITS'(l) * row;
      end
    end
  end

  wire looks = state_q == Look && left != '0;
  wire ask = looks && step_ready && run_ready;
  wire passed = state_q == Look && (left == '0 || (ask && left == lowest));
  assign run_valid  = looks && step_ready;
  assign run_first  = row_q + lane_row;
  assign run_beats  = LENGTH_BITS'(row);
  assign step_valid = (looks && run_ready) || step_end;
  assign step_end   = state_q == End;
  assign job_valid  = state_q == Begin;
  assign job_last   = tile_q == tiles_q;
  assign job_words  = job_last ? last_words_q : words_q;

  always_ff @(posedge clk) begin
    if (rst) state_q <= Idle;
    else
      case (state_q)
        Idle: if (request != '0) state_q <= Load;
        Load: state_q <= Begin;
        Begin: if (job_ready) state_q <= Fetch;
        Fetch: state_q <= Look;
        Look: if (passed) state_q <= beat_last_q ? End : Fetch;
        default: if (step_ready) state_q <= job_last ? Idle : Begin;
      endcase
  end

  always_ff @(posedge clk) begin
    case (state_q)
      Idle: begin
        job_member <= chosen;
        layer_q    <= layer[chosen*LAYER_BITS+:LAYER_BITS];
        job_tokens <= tokens[chosen*WAVE_BITS+:WAVE_BITS];
        tile_q     <= '0;
        beat       <= '0;
        passed_q   <= '0;
      end
      Load: begin
        {dense_q, last_words_q, words_q, tiles_q, beats_q} <= table_rom[job_member];
        {job_shift, row_q} <= base_rom[{job_member, layer_q}];
      end
      Fetch: begin
        inputs_q    <= inputs;
        beat_last_q <= beat == beats_q;
        beat        <= beat == beats_q ? '0 : beat + 1'b1;
      end
      Look: begin
        passed_q <= passed ? '0 : ask ? passed_q | lowest : passed_q;
        if (passed) row_q <= row_q + BEAT_BITS'(LANES) * row;
      end
      End: if (step_ready) tile_q <= tile_q + 1'b1;
      default: ;
    endcase
  end
endmodule
