// The half of row_engine.sv that adds rows: a beat of PE weights a cycle, times the step's input in every token, to a word
// of sums. At a tile's end the member gets the sums, token by token, word by word, LANES a cycle, if it has room; a sum comes
// the cycle after its `valid`, from a register.
//
// Stage 1 holds weights, inputs and the sums as read, stage 2 the products; their sum is written at its end. A word that is
// in one of them waits: a short row, or one that has been interrupted.
module row_adder #(
    parameter int MEMBERS     = 2,
    parameter int LANES       = 1,
    parameter int BATCH       = 1,
    parameter int PE          = 16,
    parameter int X_BITS      = 9,
    parameter int WEIGHT_BITS = 4,
    parameter int SUM_BITS    = 24,
    parameter int WORD_BITS   = 5,
    parameter int MEMBER_BITS = MEMBERS > 1 ? $clog2(MEMBERS) : 1,
    parameter int WAVE_BITS   = $clog2(BATCH + 1)
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic                      step_valid,
    input  logic                      step_end,
    input  logic [  BATCH*X_BITS-1:0] step_x,
    output logic                      step_ready,
    input  logic                      job_valid,
    input  logic [   MEMBER_BITS-1:0] job_member,
    input  logic                      job_last,
    input  logic [     WORD_BITS-1:0] job_words,
    input  logic [     WAVE_BITS-1:0] job_tokens,
    output logic                      job_ready,
    input  logic [PE*WEIGHT_BITS-1:0] data,
    input  logic                      data_valid,
    output logic                      data_ready,
    output logic [       MEMBERS-1:0] valid,
    output logic [LANES*SUM_BITS-1:0] sum_q,
    input  logic [       MEMBERS-1:0] room,
    output logic [       MEMBERS-1:0] done
);
  localparam int TokenBits = BATCH > 1 ? $clog2(BATCH) : 1;
  localparam int Sends = PE / LANES;
  localparam int SendBits = Sends > 1 ? $clog2(Sends) : 1;
  localparam int Product = X_BITS + WEIGHT_BITS;

  typedef enum logic [1:0] {
    Add,
    Settle,  // until the last sum is written
    Read,    // a word of sums
    Send     // it
  } state_e;
  state_e state_q;

  logic [WORD_BITS-1:0] word_q, word1_q, word2_q;
  logic [TokenBits-1:0] token_q;
  logic [SendBits-1:0] send_q;
  logic none_q;  // no row has been added
  logic add1_q, add2_q, none1_q, none2_q;

  wire row_last = word_q == job_words;
  wire written = !(add1_q && word1_q == word_q) && !(add2_q && word2_q == word_q);
  assign data_ready = state_q == Add && step_valid && !step_end && job_valid && written;
  wire add = data_ready && data_valid;
  wire tile_end = state_q == Add && step_valid && step_end && job_valid;
  assign step_ready = (add && row_last) || tile_end;

  wire sends = state_q == Send && room[job_member];
  wire word_sent = sends && send_q == SendBits'(Sends - 1);
  wire token_sent = word_sent && row_last;
  wire last_sent = token_sent && WAVE_BITS'(token_q) + 1'b1 == job_tokens;
  assign job_ready = last_sent;

  always_ff @(posedge clk) begin
    if (rst) state_q <= Add;
    else
      case (state_q)
        Add: if (tile_end) state_q <= Settle;
        Settle: if (!add1_q && !add2_q) state_q <= Read;
        Read: state_q <= Send;
        default: if (word_sent) state_q <= last_sent ? Add : Read;
      endcase
  end
  always_ff @(posedge clk) begin
    if (rst) begin
      word_q  <= '0;
      token_q <= '0;
      send_q  <= '0;
      none_q  <= 1'b1;
      add1_q  <= 1'b0;
      add2_q  <= 1'b0;
    end else begin
      if (add || word_sent) word_q <= row_last ? '0 : word_q + 1'b1;
      if (token_sent) token_q <= last_sent ? '0 : token_q + 1'b1;
      if (sends) send_q <= word_sent ? '0 : send_q + 1'b1;
      if (last_sent) none_q <= 1'b1;
      else if (add && row_last) none_q <= 1'b0;
      add1_q <= add;
      add2_q <= add1_q;
    end
  end

  logic [PE*WEIGHT_BITS-1:0] weight1_q;
  logic [BATCH*X_BITS-1:0] x1_q;
  logic [BATCH*PE*SUM_BITS-1:0] sums;  // of the word that was read
  always_ff @(posedge clk) begin
    weight1_q <= data;
    x1_q      <= step_x;
    word1_q   <= word_q;
    word2_q   <= word1_q;
    none1_q   <= none_q;
    none2_q   <= none1_q;
  end

  for (genvar b = 0; b < BATCH; b++) begin : gen_token
    logic [PE*SUM_BITS-1:0] memory[2**WORD_BITS];
    logic [PE*SUM_BITS-1:0] read1_q, read2_q, next;
    always_ff @(posedge clk) begin
      read1_q <= memory[word_q];
      read2_q <= read1_q;
      if (add2_q) memory[word2_q] <= next;
    end
    for (genvar p = 0; p < PE; p++) begin : gen_output
      logic signed [Product-1:0] product_q;
      always_ff @(posedge clk) begin
        product_q <= $signed(x1_q[b*X_BITS+:X_BITS]) * $signed(weight1_q[p*WEIGHT_BITS+:WEIGHT_BITS]);
      end
      assign next[p*SUM_BITS+:SUM_BITS] = (none2_q ? '0 : read2_q[p*SUM_BITS+:SUM_BITS]) + SUM_BITS'(product_q);
    end
    assign sums[b*PE*SUM_BITS+:PE*SUM_BITS] = read1_q;
  end

  // A word is read, then sent.
  logic [PE*SUM_BITS-1:0] word, held_q;
  assign word = sums[token_q*(PE*SUM_BITS)+:PE*SUM_BITS];
  logic first_q;  // it has just come
  wire [PE*SUM_BITS-1:0] sent = first_q ? (none_q ? '0 : word) : held_q;
  always_ff @(posedge clk) begin
    first_q <= state_q == Read;
    if (first_q) held_q <= none_q ? '0 : word;
  end
  always_ff @(posedge clk) sum_q <= sent[send_q*(LANES*SUM_BITS)+:LANES*SUM_BITS];
  always_comb begin
    valid = '0;
    valid[job_member] = sends;
    done = '0;
    done[job_member] = last_sent && job_last;
  end
endmodule
