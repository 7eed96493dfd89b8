// The engine: one array of SIMD x PE multipliers for all the Linears that share it (shared_linear.sv), result word by
// result word of WORD outputs (timing in docs/streams.md).
//
// Member 0 goes first: the lowest request that is there. A grant is given so long before the word's first step that words
// follow each other without a gap; its steps, and then the LANES sums per beat that all members watch, never wait. Word
// m of the table holds member m's last beat, the steps of one of its words, and where its weights begin in the ROM; a
// pointer to each member's next word comes to lie beside it. Stage 1 holds the beat that the member has read, stage 2
// the members' beats joined (all but one are 0), stage 3 the step's inputs and weights, stages 4 to 6 are those of
// mac_array.sv, stage 7 the word that is sent. `busy` is 1 in a cycle in which the multipliers work.
module engine #(
    parameter int MEMBERS     = 2,
    parameter int LANES       = 1,
    parameter int SIMD        = 1,
    parameter int PE          = 8,
    parameter int WORD        = 8,
    parameter int BEAT_BITS   = 6,
    parameter int COUNT_BITS  = 7,     // of the steps of a word
    parameter int STEPS       = 1024,  // of all members
    parameter int X_BITS      = 8,
    parameter int X_SIGNED    = 1,
    parameter int WEIGHT_BITS = 8,
    parameter int SUM_BITS    = 22,
    parameter int WIDE        = 25,
    parameter int NARROW      = 18,
    parameter     WEIGHT_FILE = "",
    parameter     TABLE_FILE  = ""
) (
    input  logic                            clk,
    input  logic                            rst,
    input  logic [             MEMBERS-1:0] request,
    input  logic [             MEMBERS-1:0] first,     // the word is its token's first
    output logic [             MEMBERS-1:0] grant,
    output logic [             MEMBERS-1:0] selected,
    output logic [           BEAT_BITS-1:0] beat,
    input  logic [MEMBERS*LANES*X_BITS-1:0] x,
    output logic [             MEMBERS-1:0] done,
    output logic [             MEMBERS-1:0] valid,
    output logic [      LANES*SUM_BITS-1:0] sum,
    output logic                            busy
);
  localparam int Parts = LANES / SIMD;  // steps that one beat serves
  localparam int Groups = WORD / PE;
  localparam int Sends = WORD / LANES;
  localparam int IndexBits = MEMBERS > 1 ? $clog2(MEMBERS) : 1;
  localparam int StepBits = STEPS > 1 ? $clog2(STEPS) : 1;
  localparam int PartBits = Parts > 1 ? $clog2(Parts) : 1;
  localparam int GroupBits = Groups > 1 ? $clog2(Groups) : 1;
  localparam int SendBits = Sends > 1 ? $clog2(Sends) : 1;

  // The arbiter: a request that is seen in cycle t is granted in t+1, its entry of the table is there in t+2, and its
  // first step is in t+3. The next one may be seen as many cycles later as the word has steps, which are 3 or more: by
  // then the member's request tells of the grant.
  logic [BEAT_BITS+COUNT_BITS+StepBits-1:0] entries[MEMBERS];
  initial $readmemh(TABLE_FILE, entries);

  logic [MEMBERS-1:0] request_q, first_q;
  logic [IndexBits-1:0] index, index_q;
  logic [COUNT_BITS-1:0] wait_q, count, count_q;
  logic [BEAT_BITS-1:0] last_beat, last_beat_q;
  logic [StepBits-1:0] base, base_q, pointer[MEMBERS];
  logic granted_q, begin_q, restart_q;

  wire decide = wait_q == '0 && !granted_q && request_q != '0;
  wire [StepBits-1:0] start = restart_q ? base_q : pointer[index_q];
  assign {base, count, last_beat} = entries[index];

  always_comb begin
    index = '0;
    for (int m = 0; m < MEMBERS; m++) if (grant[m]) index = index | IndexBits'(m);
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      request_q <= '0;
      grant     <= '0;
      granted_q <= 1'b0;
      begin_q   <= 1'b0;
      wait_q    <= '0;
    end else begin
      request_q <= request;
      grant     <= decide ? request_q & -request_q : '0;
      granted_q <= decide;
      begin_q   <= granted_q;
      if (granted_q) wait_q <= count - COUNT_BITS'(2);
      else if (wait_q != '0) wait_q <= wait_q - 1'b1;
    end
  end

  always_ff @(posedge clk) begin
    first_q     <= first;
    restart_q   <= (grant & first_q) != '0;
    index_q     <= index;
    base_q      <= base;
    count_q     <= count;
    last_beat_q <= last_beat;
    if (begin_q) pointer[index_q] <= start + StepBits'(count_q);
  end

  // The steps: part by part, beat by beat, group by group of a word.
  logic [ PartBits-1:0] part;
  logic [GroupBits-1:0] group;
  logic [ StepBits-1:0] address_q;
  logic [BEAT_BITS-1:0] end_beat_q;
  logic [IndexBits-1:0] member_q;
  logic inside_q, part_last, group_last;

  wire beat_last = beat == end_beat_q;
  wire row_last = inside_q && part_last && beat_last;
  wire word_done = row_last && group_last;

  beat_counter #(
      .BEATS(Parts)
  ) u_part (
      .clk,
      .rst,
      .step (inside_q),
      .index(part),
      .last (part_last)
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

  always_ff @(posedge clk) begin
    if (rst) begin
      inside_q <= 1'b0;
      beat     <= '0;
    end else begin
      inside_q <= begin_q || (inside_q && !word_done);
      if (inside_q && part_last) beat <= beat_last ? '0 : beat + 1'b1;
    end
  end

  always_ff @(posedge clk) begin
    address_q <= begin_q ? start : address_q + 1'b1;
    if (begin_q) begin
      end_beat_q <= last_beat_q;
      member_q   <= index_q;
    end
  end

  // Stages 1 to 6. step_q[k]: there was a step k cycles ago.
  logic [SIMD*PE*WEIGHT_BITS-1:0] rom[STEPS];
  initial $readmemh(WEIGHT_FILE, rom);

  logic [6:1] done_q;
  logic [5:1] step_q, row_first_q, row_last_q;
  logic [5*GroupBits-1:0] group_q;
  logic [2*PartBits-1:0] part_q;
  logic [6*IndexBits-1:0] member_delay_q;
  logic [StepBits-1:0] read_q;
  logic [LANES*X_BITS-1:0] joined, beat_q;
  logic [SIMD*X_BITS-1:0] x_q;
  logic [SIMD*PE*WEIGHT_BITS-1:0] word_q, weight_q;

  always_comb begin
    joined = '0;
    for (int m = 0; m < MEMBERS; m++) joined = joined | x[m*LANES*X_BITS+:LANES*X_BITS];
  end

  always_ff @(posedge clk) begin
    beat_q   <= joined;
    part_q   <= (2 * PartBits)'({part_q, part});
    x_q      <= beat_q[part_q[2*PartBits-1-:PartBits]*(SIMD*X_BITS)+:SIMD*X_BITS];
    read_q   <= address_q;
    word_q   <= rom[read_q];
    weight_q <= word_q;
  end

  always_ff @(posedge clk) begin
    step_q         <= rst ? '0 : {step_q[4:1], inside_q};
    done_q         <= rst ? '0 : {done_q[5:1], word_done};
    row_first_q    <= {row_first_q[4:1], part == '0 && beat == '0};
    row_last_q     <= {row_last_q[4:1], row_last};
    group_q        <= (5 * GroupBits)'({group_q, group});
    member_delay_q <= (6 * IndexBits)'({member_delay_q, member_q});
  end
  assign busy = step_q[3];

  // The serializer: a word is sent before the next one is there, as no word takes fewer steps than beats.
  logic [SendBits-1:0] send;
  logic [IndexBits-1:0] sender_q, send_member_q;
  logic sending_q, issue_q, send_last;

  beat_counter #(
      .BEATS(Sends)
  ) u_send (
      .clk,
      .rst,
      .step (sending_q),
      .index(send),
      .last (send_last)
  );

  always_ff @(posedge clk) begin
    sending_q     <= !rst && (done_q[6] || (sending_q && !send_last));
    issue_q       <= !rst && sending_q;
    send_member_q <= sender_q;
    if (done_q[6]) sender_q <= member_delay_q[6*IndexBits-1-:IndexBits];
  end

  for (genvar m = 0; m < MEMBERS; m++) begin : gen_member
    always_ff @(posedge clk) begin
      if (rst) begin
        selected[m] <= 1'b0;
        done[m]     <= 1'b0;
        valid[m]    <= 1'b0;
      end else begin
        selected[m] <= begin_q ? index_q == IndexBits'(m) : selected[m] && !word_done;
        done[m]     <= selected[m] && word_done;
        valid[m]    <= issue_q && send_member_q == IndexBits'(m);
      end
    end
  end

  mac_array #(
      .LANES      (LANES),
      .SIMD       (SIMD),
      .PE         (PE),
      .WORD       (WORD),
      .X_BITS     (X_BITS),
      .X_SIGNED   (X_SIGNED),
      .WEIGHT_BITS(WEIGHT_BITS),
      .SUM_BITS   (SUM_BITS),
      .WIDE       (WIDE),
      .NARROW     (NARROW)
  ) u_array (
      .clk,
      .x     (x_q),
      .weight(weight_q),
      .step  (step_q[5]),
      .first (row_first_q[5]),
      .last  (row_last_q[5]),
      .group (group_q[5*GroupBits-1-:GroupBits]),
      .load  (done_q[6]),
      .issue (sending_q),
      .send,
      .sum
  );
endmodule
