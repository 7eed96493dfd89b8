// LayerNorm: y = (x - mean) / sqrt(var + eps) * gain + bias, from exact sums (quant/ops/layernorm.py)
//
//   S1 = sum x,  S2 = sum x**2,  d = C*x - S1,  N = C*S2 - S1**2 + EPSILON,  (x - mean) / sqrt(var + eps) = d / sqrt(N)
//
// A token is written to one of two banks while its sums are made. Stages after an accepted beat: 1 x, 2 squares, 3 sums
// over the lanes, 4 S1 and S2, 6 S1**2 and C*S2 + EPSILON, 7 N, 16 its reciprocal root r * 2**-(16 + e), 17 its FIFO.
// Stages after a read: 1 and 2 x, up to 11 those of layernorm_lane.sv, 12 the result.
module layernorm #(
    parameter int CHANNELS       = 64,
    parameter int LANES          = 1,
    parameter int X_BITS         = 8,
    parameter int X_SIGNED       = 1,
    parameter int GAIN_BITS      = 8,
    parameter int GAIN_FRAC      = 5,
    parameter int BIAS_BITS      = 16,
    parameter int BIAS_FRAC      = 10,
    parameter int OUT_BITS       = 8,
    parameter int OUT_FRAC       = 4,
    parameter int OUT_SIGNED     = 1,
    parameter int EPSILON        = 10,
    parameter int SUM_BITS       = 14,
    parameter int SQUARE_BITS    = 21,
    parameter int VARIANCE_BITS  = 27,
    parameter int DEVIATION_BITS = 15,
    parameter int NORM_BITS      = 15,
    parameter int WIDE           = 25,
    parameter int CONTEXTS       = 1,
    parameter int LAYERS         = 1,
    parameter     GAIN_FILE      = "",
    parameter     BIAS_FILE      = "",
    parameter     SEED_FILE      = ""
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
  localparam int BeatBits = Beats > 1 ? $clog2(Beats) : 1;
  localparam int LayerBits = $clog2(LAYERS);
  localparam int Rows = ((LAYERS - 1) << BeatBits) + Beats;  // row {l, b}: layer l, beat b
  localparam int RowBits = LayerBits + BeatBits;
  localparam int Latency = 12;
  localparam int XW = X_BITS + 1;  // an unsigned x gets a sign
  localparam int RootBits = 17;
  localparam int ShiftBits = 5;  // of e

  // The banks: filled beat by beat, free again after their token's last read.
  logic [LANES*X_BITS-1:0] bank[2**(BeatBits+1)];
  logic [1:0] full_q;
  logic fill_q, drain_q;
  logic [BeatBits-1:0] fill_beat, beat;
  logic fill_first, fill_last, beat_last;

  // tlast says what the beat counter knows.
  logic unused_last;
  assign unused_last = s_axis_x_tlast;

  logic valid, ready;
  wire accept = s_axis_x_tvalid && s_axis_x_tready;
  wire read = valid && ready;
  assign s_axis_x_tready = full_q != 2'd2;
  assign fill_first = fill_beat == '0;

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
      .BEATS(Beats)
  ) u_beat (
      .clk,
      .rst,
      .step (read),
      .index(beat),
      .last (beat_last)
  );

  always_ff @(posedge clk) begin
    if (accept) bank[{fill_q, fill_beat}] <= s_axis_x_tdata;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      full_q  <= '0;
      fill_q  <= 1'b0;
      drain_q <= 1'b0;
    end else begin
      full_q <= full_q + 2'(accept && fill_last) - 2'(read && beat_last);
      if (accept && fill_last) fill_q <= !fill_q;
      if (read && beat_last) drain_q <= !drain_q;
    end
  end

  // Sums of a token. done_q[k]: its last beat was accepted k cycles ago.
  logic [16:1] done_q;
  logic [3:1] accept_q, first_q;
  logic [3*UserBits-1:0] user_q;
  logic [UserBits-1:0] user4_q;
  logic [LANES*X_BITS-1:0] x_q;
  logic [LANES*XW-1:0] x2_q;
  logic [LANES*2*X_BITS-1:0] square2_q;
  logic signed [SUM_BITS-1:0] lane_sum, sum3_q, sum_q;
  logic [SQUARE_BITS-1:0] lane_square, square3_q, square_q;

  for (genvar l = 0; l < LANES; l++) begin : gen_square
    logic signed [  XW-1:0] x;
    /* verilator lint_off UNUSEDSIGNAL */
    logic signed [2*XW-1:0] square;  // its upper bits are 0
    /* verilator lint_on UNUSEDSIGNAL */
    assign x = {X_SIGNED != 0 && x_q[l*X_BITS+X_BITS-1], x_q[l*X_BITS+:X_BITS]};
    assign square = x * x;
    always_ff @(posedge clk) begin
      x2_q[l*XW+:XW] <= x;
      square2_q[l*2*X_BITS+:2*X_BITS] <= square[2*X_BITS-1:0];
    end
  end

  always_comb begin
    lane_sum = '0;
    lane_square = '0;
    for (int l = 0; l < LANES; l++) begin
      lane_sum = lane_sum + SUM_BITS'($signed(x2_q[l*XW+:XW]));
      lane_square = lane_square + SQUARE_BITS'(square2_q[l*2*X_BITS+:2*X_BITS]);
    end
  end

  always_ff @(posedge clk) begin
    done_q    <= rst ? '0 : {done_q[15:1], accept && fill_last};
    accept_q  <= {accept_q[2:1], accept};
    first_q   <= {first_q[2:1], fill_first};
    user_q    <= (3 * UserBits)'({user_q, s_axis_x_tuser});
    x_q       <= s_axis_x_tdata;
    sum3_q    <= lane_sum;
    square3_q <= lane_square;
    if (accept_q[3]) begin
      sum_q    <= first_q[3] ? sum3_q : sum_q + sum3_q;
      square_q <= first_q[3] ? square3_q : square_q + square3_q;
      user4_q  <= user_q[3*UserBits-1-:UserBits];
    end
  end

  // N, and its reciprocal root.
  // The products of two tokens take turns at one multiplier where a token is longer than what lies between them.
  localparam int Shared = Beats > 10 ? 1 : 0;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [2*SUM_BITS-1:0] square5, square6_q;  // not negative
  /* verilator lint_on UNUSEDSIGNAL */
  logic [VARIANCE_BITS-1:0] scaled5_q, scaled6_q, variance_q;
  logic [ RootBits-1:0] root16;
  logic [ShiftBits-1:0] exponent16;

  always_ff @(posedge clk) begin
    square6_q  <= square5;
    scaled5_q  <= VARIANCE_BITS'(CHANNELS) * VARIANCE_BITS'(square_q);
    scaled6_q  <= scaled5_q + VARIANCE_BITS'(EPSILON);
    variance_q <= scaled6_q - VARIANCE_BITS'(square6_q);
  end

  reciprocal_root #(
      .N_BITS   (VARIANCE_BITS),
      .X_BITS   (SUM_BITS),
      .SHARED   (Shared),
      .SEED_FILE(SEED_FILE)
  ) u_root (
      .clk,
      .turn({done_q[14], done_q[12], done_q[10], done_q[4]}),
      .x(sum_q),
      .square(square5),
      .n(variance_q),
      .root(root16),
      .exponent(exponent16)
  );

  // Statistics wait until their token is read, one place per bank, and are read as late as they are needed: drain_qs[k] is
  // drain_q k cycles ago. A place is not written again before that: the bank's next token comes after this one's last read.
  logic [SUM_BITS-1:0] sums[2];
  logic [ShiftBits+RootBits-1:0] roots[2];
  logic [2*UserBits-1:0] users_q;
  logic [1:0] ready_q;  // tokens that have a root and beats to read
  logic sum_bank_q, root_bank_q;
  logic [3:1] drain_qs;
  logic [UserBits-1:0] user;
  logic signed [SUM_BITS-1:0] sum3;
  logic [RootBits-1:0] root4;
  logic [ShiftBits-1:0] exponent4, exponent5, exponent6;
  logic [2:0] exponent7;

  assign valid = ready_q != 2'd0;
  assign user  = users_q[drain_q*UserBits+:UserBits];

  always_ff @(posedge clk) begin
    if (rst) begin
      sum_bank_q  <= 1'b0;
      root_bank_q <= 1'b0;
      ready_q     <= '0;
    end else begin
      if (done_q[4]) sum_bank_q <= !sum_bank_q;
      if (done_q[16]) root_bank_q <= !root_bank_q;
      ready_q <= ready_q + 2'(done_q[16]) - 2'(read && beat_last);
    end
  end

  always_ff @(posedge clk) begin
    if (done_q[4]) begin
      sums[sum_bank_q] <= sum_q;
      users_q[sum_bank_q*UserBits+:UserBits] <= user4_q;
    end
  end

  always_ff @(posedge clk) begin
    if (done_q[16]) roots[root_bank_q] <= {exponent16, root16};
  end

  always_ff @(posedge clk) begin
    drain_qs           <= {drain_qs[2:1], drain_q};
    sum3               <= sums[drain_qs[2]];
    {exponent4, root4} <= roots[drain_qs[3]];
    exponent5          <= exponent4;
    exponent6          <= exponent5;
    exponent7          <= exponent6[2:0];
  end

  // Stages after a read.
  logic [7:1] read_q;
  logic [BeatBits-1:0] gain_beat;
  logic [UserBits-1:0] layer7;
  logic [RowBits-1:0] gain_row;
  logic [LANES*GAIN_BITS-1:0] gain[Rows], gain8_q, gain_q;
  logic [LANES*BIAS_BITS-1:0] bias[Rows], bias8_q, bias_q;
  logic [LANES*X_BITS-1:0] row1_q, row_q;
  logic [LANES*OUT_BITS-1:0] result, result_q;
  initial $readmemh(GAIN_FILE, gain);
  initial $readmemh(BIAS_FILE, bias);

  beat_counter #(
      .BEATS(Beats)
  ) u_gain_beat (
      .clk,
      .rst,
      .step (read_q[7]),
      .index(gain_beat),
      .last ()
  );

  delay #(
      .WIDTH (UserBits),
      .CYCLES(7)
  ) u_layer7 (
      .clk,
      .x(user >> (UserBits - LayerBits)),
      .y(layer7)
  );
  assign gain_row = RowBits'({layer7, gain_beat});

  always_ff @(posedge clk) begin
    read_q   <= rst ? '0 : {read_q[6:1], read};
    row1_q   <= bank[{drain_q, beat}];
    row_q    <= row1_q;
    gain8_q  <= gain[gain_row];
    bias8_q  <= bias[gain_row];
    gain_q   <= gain8_q;
    bias_q   <= bias8_q;
    result_q <= result;
  end

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    layernorm_lane #(
        .CHANNELS      (CHANNELS),
        .X_BITS        (X_BITS),
        .X_SIGNED      (X_SIGNED),
        .GAIN_BITS     (GAIN_BITS),
        .GAIN_FRAC     (GAIN_FRAC),
        .BIAS_BITS     (BIAS_BITS),
        .BIAS_FRAC     (BIAS_FRAC),
        .OUT_BITS      (OUT_BITS),
        .OUT_FRAC      (OUT_FRAC),
        .OUT_SIGNED    (OUT_SIGNED),
        .SUM_BITS      (SUM_BITS),
        .DEVIATION_BITS(DEVIATION_BITS),
        .NORM_BITS     (NORM_BITS),
        .WIDE          (WIDE)
    ) u_lane (
        .clk,
        .x2(row_q[l*X_BITS+:X_BITS]),
        .sum3,
        .root4,
        .upper6(exponent6[4:3]),
        .lower7(exponent7),
        .gain9(gain_q[l*GAIN_BITS+:GAIN_BITS]),
        .bias9(bias_q[l*BIAS_BITS+:BIAS_BITS]),
        .y11(result[l*OUT_BITS+:OUT_BITS])
    );
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
      .last  (beat_last),
      .user,
      .result(result_q),
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
