// Linear: y = requantize(W x), accumulated exactly (quant/ops/linear.py; timing in docs/streams.md)
//
// A token lies in one of two banks. A step multiplies SIMD inputs into PE outputs; the weights of step n are word n of
// the ROM, behind those of the layers before. Steps never wait inside a result word of WORD outputs. Stage 1 holds the words read, stage 2 the step's
// inputs; the stages behind are those of result_words.sv. `busy` is 1 in a cycle in which the multipliers work.
module linear #(
    parameter int INPUTS      = 64,
    parameter int OUTPUTS     = 64,
    parameter int LANES       = 1,
    parameter int SIMD        = 1,
    parameter int PE          = 8,
    parameter int WORD        = 8,
    parameter int X_BITS      = 8,
    parameter int X_FRAC      = 4,
    parameter int X_SIGNED    = 1,
    parameter int WEIGHT_BITS = 8,
    parameter int WEIGHT_FRAC = 7,
    parameter int ACC_BITS    = 22,
    parameter int OUT_BITS    = 8,
    parameter int OUT_FRAC    = 4,
    parameter int OUT_SIGNED  = 1,
    parameter int WIDE        = 25,
    parameter int NARROW      = 18,
    parameter int CONTEXTS    = 1,
    parameter int LAYERS      = 1,
    parameter     WEIGHT_FILE = ""
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
    output logic                      busy              // the multipliers work
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the context, and the first token's mark
  localparam int Beats = INPUTS / LANES;
  localparam int Parts = LANES / SIMD;  // steps that one beat of the bank serves
  localparam int Groups = WORD / PE;
  localparam int Words = OUTPUTS / WORD;
  localparam int Steps = INPUTS / SIMD * (OUTPUTS / PE);
  localparam int BeatBits = Beats > 1 ? $clog2(Beats) : 1;
  localparam int PartBits = Parts > 1 ? $clog2(Parts) : 1;
  localparam int GroupBits = Groups > 1 ? $clog2(Groups) : 1;
  localparam int StepBits = Steps > 1 ? $clog2(Steps) : 1;
  localparam int LayerBits = $clog2(LAYERS);
  localparam int AddressBits = LAYERS * Steps > 1 ? $clog2(LAYERS * Steps) : 1;

  // The banks: filled beat by beat, free again after their token's last step. In LUTs where they are less than half a
  // block RAM of 18 Kbit.
  (* ram_style = 2 * INPUTS * X_BITS <= 8192 ? "distributed" : "auto" *)
  logic [LANES*X_BITS-1:0] bank[2**(BeatBits+1)];
  logic [1:0] full_q;
  logic [2*UserBits-1:0] bank_user_q;
  logic fill_q, drain_q;
  logic [BeatBits-1:0] fill_beat;
  logic fill_last, token_last;

  // tlast says what the beat counter knows.
  logic unused_last;
  assign unused_last = s_axis_x_tlast;

  wire accept = s_axis_x_tvalid && s_axis_x_tready;
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

  always_ff @(posedge clk) begin
    if (accept) begin
      bank[{fill_q, fill_beat}] <= s_axis_x_tdata;
      bank_user_q[fill_q*UserBits+:UserBits] <= s_axis_x_tuser;
    end
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      full_q  <= '0;
      fill_q  <= 1'b0;
      drain_q <= 1'b0;
    end else begin
      full_q <= full_q + 2'(accept && fill_last) - 2'(token_last);
      if (accept && fill_last) fill_q <= !fill_q;
      if (token_last) drain_q <= !drain_q;
    end
  end

  // The steps: part by part, beat by beat, group by group of a word, word by word.
  logic [ PartBits-1:0] part;
  logic [ BeatBits-1:0] beat;
  logic [GroupBits-1:0] group;
  logic [ StepBits-1:0] step_index;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [ UserBits-1:0] layer;  // of use where there are several
  /* verilator lint_on UNUSEDSIGNAL */
  logic [AddressBits-1:0] layer_base, address;
  logic part_last, beat_last, group_last, word_last;
  logic inside_q;  // a word has begun
  logic [1:0] words_q;  // words begun and not yet sent
  logic sent;

  wire step = inside_q || (full_q != 2'd0 && words_q != 2'd2);  // the multipliers work
  wire row_last = step && part_last && beat_last;
  wire word_done = row_last && group_last;
  assign token_last = word_done && word_last;

  beat_counter #(
      .BEATS(Parts)
  ) u_part (
      .clk,
      .rst,
      .step,
      .index(part),
      .last (part_last)
  );
  beat_counter #(
      .BEATS(Beats)
  ) u_beat (
      .clk,
      .rst,
      .step (step && part_last),
      .index(beat),
      .last (beat_last)
  );
  beat_counter #(
      .BEATS(Groups)
  ) u_group (
      .clk,
      .rst,
      .step (row_last),
      .index(group),
      .last (group_last)
  );
  beat_counter #(
      .BEATS(Words)
  ) u_word (
      .clk,
      .rst,
      .step (word_done),
      .index(),
      .last (word_last)
  );
  beat_counter #(
      .BEATS(Steps)
  ) u_step (
      .clk,
      .rst,
      .step,
      .index(step_index),
      .last ()
  );

  assign layer = bank_user_q[drain_q*UserBits+:UserBits] >> (UserBits - LayerBits);
  always_comb begin
    layer_base = '0;
    for (int l = 1; l < LAYERS; l++) if (layer == UserBits'(l)) layer_base = AddressBits'(l * Steps);
  end
  assign address = layer_base + AddressBits'(step_index);

  always_ff @(posedge clk) begin
    if (rst) begin
      inside_q <= 1'b0;
      words_q  <= '0;
    end else begin
      inside_q <= inside_q ? !word_done : step && !word_done;
      words_q  <= words_q + 2'(step && !inside_q) - 2'(sent);
    end
  end

  // Stages 1 to 4. step_q[k]: there was a step k cycles ago.
  logic [SIMD*PE*WEIGHT_BITS-1:0] rom[LAYERS*Steps];
  initial $readmemh(WEIGHT_FILE, rom);

  logic [4:1] step_q, row_first_q, word_done_q;
  logic [4*UserBits-1:0] user_q;
  logic [4:1] row_last_q;
  logic [4*GroupBits-1:0] group_q;
  logic [PartBits-1:0] part_q;
  logic [LANES*X_BITS-1:0] beat_q;
  logic [SIMD*X_BITS-1:0] x_q;
  logic [SIMD*PE*WEIGHT_BITS-1:0] word_q, weight_q;

  always_ff @(posedge clk) begin
    beat_q   <= bank[{drain_q, beat}];
    word_q   <= rom[address];
    part_q   <= part;
    x_q      <= beat_q[part_q*(SIMD*X_BITS)+:SIMD*X_BITS];
    weight_q <= word_q;
  end

  always_ff @(posedge clk) begin
    step_q      <= rst ? '0 : {step_q[3:1], step};
    row_first_q <= {row_first_q[3:1], part == '0 && beat == '0};
    row_last_q  <= {row_last_q[3:1], row_last};
    word_done_q <= {word_done_q[3:1], word_done};
    user_q      <= (4 * UserBits)'({user_q, bank_user_q[drain_q*UserBits+:UserBits]});
    group_q     <= {group_q[3*GroupBits-1:0], group};
  end
  assign busy = step_q[2];

  result_words #(
      .OUTPUTS    (OUTPUTS),
      .LANES      (LANES),
      .SIMD       (SIMD),
      .PE         (PE),
      .WORD       (WORD),
      .X_BITS     (X_BITS),
      .X_SIGNED   (X_SIGNED),
      .WEIGHT_BITS(WEIGHT_BITS),
      .ACC_BITS   (ACC_BITS),
      .SHIFT      (X_FRAC + WEIGHT_FRAC - OUT_FRAC),
      .OUT_BITS   (OUT_BITS),
      .OUT_SIGNED (OUT_SIGNED),
      .WIDE       (WIDE),
      .NARROW     (NARROW),
      .USER_BITS  (UserBits)
  ) u_words (
      .clk,
      .rst,
      .x     (x_q),
      .weight(weight_q),
      .step  (step_q[4]),
      .first (row_first_q[4]),
      .last  (row_last_q[4]),
      .group (group_q[3*GroupBits+:GroupBits]),
      .done  (word_done_q[4]),
      .user  (user_q[4*UserBits-1-:UserBits]),
      .sent,
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
