// A Linear driven by events: y = requantize(W x), of which only inputs that are not 0 are added (quant/ops/linear.py;
// timing in docs/streams.md). With inputs of one bit nothing is multiplied.
//
// Each lane lists the inputs of a token that are not 0, in one of its banks, as tokens take unlike times: a beat that has
// none of them leaves nothing. A row of PE outputs takes a step for each event, lane by lane; the weights of input
// b*LANES + l for row g are word g*INPUTS + l*BEATS + b of the ROM, behind those of the layers before. Rows follow one another: their sums need no memory. A
// token without an event takes a step a row that adds 0 and reads nothing. The last rows may lack outputs, whose weights
// are 0 and which are not sent. A result word of WORD outputs begins when it has a place in the output FIFO, and its last
// step comes SENDS cycles after that of the word before or later, so that nothing behind the steps ever waits.
//
// Stage 1 holds the events as listed, stage 2 the one of the step, stage 3 its address, stage 4 the word read, stage 5 the
// step's input and weights, stages 6 to 8 are those of mac_array.sv, stage 9 is the word that is sent. `busy` is 1 in a
// cycle in which an event is added: PE weights were read.
module event_linear #(
    parameter int INPUTS      = 64,
    parameter int OUTPUTS     = 64,
    parameter int LANES       = 1,
    parameter int PE          = 8,
    parameter int WORD        = 8,
    parameter int X_BITS      = 1,
    parameter int X_FRAC      = 0,
    parameter int X_SIGNED    = 0,
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
    parameter int BANK_BITS   = 2,
    parameter     WEIGHT_FILE = "",
    // Result words follow one another without a gap: each takes LEAST cycles or more, and leaves LATENCY behind its steps.
    parameter int LATENCY     = 13,
    parameter int LEAST       = WORD / PE > WORD / LANES ? WORD / PE : WORD / LANES,
    parameter int PLACES      = 2 + (LATENCY + LEAST - 2) / LEAST
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
    output logic                      busy              // an event is added
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the context, and the first token's mark
  localparam int Beats = INPUTS / LANES;
  localparam int Groups = WORD / PE;
  localparam int Words = (OUTPUTS + WORD - 1) / WORD;
  localparam int Rows = Words * Groups;
  localparam int Sends = WORD / LANES;
  localparam int LastSends = OUTPUTS / LANES - (Words - 1) * Sends;  // of a token's last word
  localparam int BeatBits = Beats > 1 ? $clog2(Beats) : 1;
  localparam int CountBits = $clog2(Beats + 1);
  localparam int GroupBits = Groups > 1 ? $clog2(Groups) : 1;
  localparam int LayerBits = $clog2(LAYERS);
  localparam int AddressBits = LAYERS * INPUTS * Rows > 1 ? $clog2(LAYERS * INPUTS * Rows) : 1;
  localparam int ValueBits = X_BITS > 1 ? X_BITS : 0;  // an event of one bit is worth 1
  localparam int EventBits = ValueBits + BeatBits;
  localparam int SendBits = Sends > 1 ? $clog2(Sends) : 1;

  // The banks: filled beat by beat, free again after their token's last step.
  logic [BANK_BITS:0] full_q;
  logic [2**BANK_BITS*UserBits-1:0] bank_user_q;
  logic [BANK_BITS-1:0] fill_q, drain_q;
  logic [BeatBits-1:0] fill_beat;
  logic fill_last, token_last;

  // tlast says what the beat counter knows.
  logic unused_last;
  assign unused_last = s_axis_x_tlast;

  wire accept = s_axis_x_tvalid && s_axis_x_tready;
  assign s_axis_x_tready = !full_q[BANK_BITS];

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
    if (accept) bank_user_q[fill_q*UserBits+:UserBits] <= s_axis_x_tuser;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      full_q  <= '0;
      fill_q  <= '0;
      drain_q <= '0;
    end else begin
      full_q <= full_q + (BANK_BITS + 1)'(accept && fill_last) - (BANK_BITS + 1)'(token_last);
      if (accept && fill_last) fill_q <= fill_q + 1'b1;
      if (token_last) drain_q <= drain_q + 1'b1;
    end
  end

  // The lists, and of each bank and lane how many events there are; `some`, `one`: whether there are any, whether one.
  logic [LANES*CountBits-1:0] counts_new, counts_next, counts, counts_q;
  logic [LANES-1:0] some_new, some_next, some, some_q;
  logic [LANES-1:0] one_new, one_next, one, one_q;
  logic [LANES*(CountBits+2)-1:0] totals[2**BANK_BITS];
  logic [BeatBits-1:0] place_q;  // of the step's event in its lane's list
  logic [LANES*EventBits-1:0] events_q;

  wire filled = accept && fill_last;
  wire [BANK_BITS-1:0] next = drain_q + 1'b1;
  always_ff @(posedge clk) if (filled) totals[fill_q] <= {one_new, some_new, counts_new};
  assign {one_next, some_next, counts_next} = totals[next];

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic [EventBits-1:0] list[2**(BeatBits+BANK_BITS)];
    logic [EventBits-1:0] event_new;
    logic [CountBits-1:0] filled_q;
    logic some_filled_q, one_filled_q;
    wire found = s_axis_x_tdata[l*X_BITS+:X_BITS] != '0;

    assign counts_new[l*CountBits+:CountBits] = filled_q + CountBits'(found);
    assign some_new[l] = some_filled_q || found;
    assign one_new[l] = found ? !some_filled_q : one_filled_q;
    if (X_BITS > 1) begin : gen_graded
      assign event_new = {s_axis_x_tdata[l*X_BITS+:X_BITS], fill_beat};
    end else begin : gen_bit
      assign event_new = fill_beat;
    end
    always_ff @(posedge clk) begin
      if (accept && found) list[{fill_q, filled_q[BeatBits-1:0]}] <= event_new;
      events_q[l*EventBits+:EventBits] <= list[{drain_q, place_q}];
    end
    always_ff @(posedge clk) begin
      if (rst) begin
        filled_q      <= '0;
        some_filled_q <= 1'b0;
        one_filled_q  <= 1'b0;
      end else if (accept) begin
        filled_q      <= fill_last ? '0 : counts_new[l*CountBits+:CountBits];
        some_filled_q <= !fill_last && some_new[l];
        one_filled_q  <= !fill_last && one_new[l];
      end
    end
  end

  // The token in front: the one that has just come, or that of the next bank.
  wire direct = filled && (full_q == '0 || (full_q == (BANK_BITS + 1)'(1) && token_last));
  wire load = direct || token_last;
  assign counts = direct ? counts_new : counts_next;
  assign some   = direct ? some_new : some_next;
  assign one    = direct ? one_new : one_next;

  logic [LANES-1:0] first, first_q;  // its first lane that has an event
  logic alone, alone_q;  // which has no more than one
  assign first = some & (~some + 1'b1);
  assign alone = some == '0 || (first & one) != '0;
  always_ff @(posedge clk) begin
    if (load) begin
      counts_q <= counts;
      some_q   <= some;
      one_q    <= one;
      first_q  <= first;
      alone_q  <= alone;
    end
  end

  // The steps: event by event of a lane, lane by lane, row by row of a word, word by word. What a step needs was found a
  // cycle before: its lane, whether its event is the lane's last, the lanes that come after it in this row.
  logic [LANES-1:0] chosen_q, rest_q, lowest;
  logic last_q;
  logic [CountBits-1:0] count;
  logic [GroupBits-1:0] group;
  logic [AddressBits-1:0] base_q;  // of the row's weights
  logic row_q;  // a row has begun
  logic group_last, word_last;
  logic inside_q;  // a word has begun
  logic room;
  logic [SendBits-1:0] gap_q;  // cycles in which no word may have its last step

  assign lowest = rest_q & (~rest_q + 1'b1);
  always_comb begin
    count = '0;
    for (int l = 0; l < LANES; l++) count = count | (chosen_q[l] ? counts_q[l*CountBits+:CountBits] : '0);
  end
  wire row_ends = last_q && rest_q == '0;
  wire step = (inside_q || (full_q != '0 && room)) && !(row_ends && group_last && gap_q != '0);
  wire row_last = step && row_ends;
  wire word_done = row_last && group_last;
  assign token_last = word_done && word_last;

  always_ff @(posedge clk) begin
    if (load) begin
      chosen_q <= first;
      rest_q   <= some & ~first;
      last_q   <= alone;
      place_q  <= '0;
    end else if (step && !last_q) begin
      last_q  <= CountBits'(place_q) + CountBits'(2) == count;
      place_q <= place_q + 1'b1;
    end else if (step) begin
      chosen_q <= rest_q != '0 ? lowest : first_q;
      rest_q   <= rest_q != '0 ? rest_q & ~lowest : some_q & ~first_q;
      last_q   <= rest_q != '0 ? (lowest & one_q) != '0 : alone_q;
      place_q  <= '0;
    end
  end

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

  // Where the weights begin of the layer of the token in front.
  /* verilator lint_off UNUSEDSIGNAL */
  logic [UserBits-1:0] front_layer;  // of use where there are several
  /* verilator lint_on UNUSEDSIGNAL */
  logic [AddressBits-1:0] layer_base;
  assign front_layer = (direct ? s_axis_x_tuser : bank_user_q[next*UserBits+:UserBits]) >> (UserBits - LayerBits);
  always_comb begin
    layer_base = '0;
    for (int l = 1; l < LAYERS; l++) begin
      if (front_layer == UserBits'(l)) layer_base = AddressBits'(l * INPUTS * Rows);
    end
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      row_q    <= 1'b0;
      inside_q <= 1'b0;
      gap_q    <= '0;
      base_q   <= '0;
    end else begin
      if (step) row_q <= !row_last;
      inside_q <= inside_q ? !word_done : step && !word_done;
      gap_q    <= word_done ? SendBits'(Sends - 1) : gap_q - SendBits'(gap_q != '0);
      if (LAYERS > 1 ? load : token_last) base_q <= layer_base;  // a single layer's is 0 already when none is in front
      else if (row_last) base_q <= base_q + AddressBits'(INPUTS);
    end
  end

  // Stages 1 to 5, and those by which marks come to mac_array. step_q[k]: there was a step k cycles ago.
  logic [PE*WEIGHT_BITS-1:0] rom[LAYERS*INPUTS*Rows];
  initial $readmemh(WEIGHT_FILE, rom);

  logic [7:1] step_q, row_first_q, row_last_q;
  logic [8:1] word_done_q, token_done_q;
  logic [3:1] adds_q;  // of which one was an event
  logic [7*GroupBits-1:0] group_q;
  logic [LANES-1:0] chosen1_q;
  logic [AddressBits-1:0] base1_q, base2_q, offset, address_q;
  logic [EventBits-1:0] chosen_event, event_q;
  logic [PE*WEIGHT_BITS-1:0] word_q, weight_q;
  logic [X_BITS-1:0] x_q;

  always_comb begin
    chosen_event = '0;
    offset = '0;
    for (int l = 0; l < LANES; l++) begin
      if (chosen1_q[l]) begin
        chosen_event = chosen_event | events_q[l*EventBits+:EventBits];
        offset = offset | AddressBits'(l * Beats);
      end
    end
  end
  always_ff @(posedge clk) begin
    chosen1_q <= chosen_q;
    base1_q   <= base_q;
    event_q   <= chosen_event;
    base2_q   <= base1_q + offset;
    address_q <= base2_q + AddressBits'(event_q[BeatBits-1:0]);
    if (adds_q[3]) word_q <= rom[address_q];
    weight_q <= word_q;
  end
  if (X_BITS > 1) begin : gen_values
    logic [X_BITS-1:0] value3_q, value4_q;
    always_ff @(posedge clk) begin
      value3_q <= adds_q[2] ? event_q[EventBits-1-:X_BITS] : '0;
      value4_q <= value3_q;
      x_q      <= value4_q;
    end
  end else begin : gen_ones
    logic adds4_q;
    always_ff @(posedge clk) begin
      adds4_q <= adds_q[3];
      x_q     <= adds4_q;
    end
  end

  always_ff @(posedge clk) begin
    step_q       <= rst ? '0 : {step_q[6:1], step};
    adds_q       <= rst ? '0 : {adds_q[2:1], step && some_q != '0};
    row_first_q  <= {row_first_q[6:1], !row_q};
    row_last_q   <= {row_last_q[6:1], row_last};
    word_done_q  <= rst ? '0 : {word_done_q[7:1], word_done};
    token_done_q <= {token_done_q[7:1], word_last};
    group_q      <= (7 * GroupBits)'({group_q, group});
  end
  assign busy = adds_q[3];

  // The serializer: a word is sent before the next one is there.
  logic [SendBits-1:0] send_q;
  logic [LANES*ACC_BITS-1:0] sum;
  logic sending_q, final_q, issue_q, valid_q;  // final: the word is its token's last

  wire send_last = send_q == (final_q ? SendBits'(LastSends - 1) : SendBits'(Sends - 1));
  always_ff @(posedge clk) begin
    if (word_done_q[8]) final_q <= token_done_q[8];
    send_q <= rst || !sending_q || send_last ? '0 : send_q + 1'b1;
    sending_q <= !rst && (word_done_q[8] || (sending_q && !send_last));
    issue_q <= !rst && sending_q;
    valid_q <= !rst && issue_q;
  end

  mac_array #(
      .LANES      (LANES),
      .SIMD       (1),
      .PE         (PE),
      .WORD       (WORD),
      .X_BITS     (X_BITS),
      .X_SIGNED   (X_SIGNED),
      .WEIGHT_BITS(WEIGHT_BITS),
      .SUM_BITS   (ACC_BITS),
      .WIDE       (WIDE),
      .NARROW     (NARROW)
  ) u_array (
      .clk,
      .x     (x_q),
      .weight(weight_q),
      .step  (step_q[7]),
      .first (row_first_q[7]),
      .last  (row_last_q[7]),
      .group (group_q[6*GroupBits+:GroupBits]),
      .load  (word_done_q[8]),
      .issue (sending_q),
      .send  (send_q),
      .sum
  );

  result_fifo #(
      .OUTPUTS   (OUTPUTS),
      .LANES     (LANES),
      .WORD      (WORD),
      .PLACES    (PLACES),
      .SUM_BITS  (ACC_BITS),
      .SHIFT     (X_FRAC + WEIGHT_FRAC - OUT_FRAC),
      .OUT_BITS  (OUT_BITS),
      .OUT_SIGNED(OUT_SIGNED),
      .USER_BITS (UserBits)
  ) u_results (
      .clk,
      .rst,
      .take (step && !inside_q),
      .user (bank_user_q[drain_q*UserBits+:UserBits]),
      .room,
      .valid(valid_q),
      .sum,
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
