// The result words of a Linear: products accumulated, collected to words, re-quantized and sent, LANES outputs a beat.
//
// Inputs and weights come in cycle 0; `step`, `first`, `last`, `group`, `done` and `user` say in cycle 2 whether the step
// counts, which of a row it is, which PE rows of the word these are, whether the word is done with it, and whose it is.
// Stages 1 to 3 are those of mac_array.sv, stage 4 is the word that the serializer sends; then two stages for the beat and
// one for its re-quantization. `sent`: a word has gone, and leaves the accumulators to the one after the next.
module result_words #(
    parameter int OUTPUTS     = 64,
    parameter int LANES       = 1,
    parameter int SIMD        = 1,
    parameter int PE          = 8,
    parameter int WORD        = 8,
    parameter int X_BITS      = 8,
    parameter int X_SIGNED    = 1,
    parameter int WEIGHT_BITS = 8,
    parameter int ACC_BITS    = 22,
    parameter int SHIFT       = 7,
    parameter int OUT_BITS    = 8,
    parameter int OUT_SIGNED  = 1,
    parameter int WIDE        = 25,
    parameter int NARROW      = 18,
    parameter int USER_BITS   = 1,
    parameter int GROUP_BITS  = WORD / PE > 1 ? $clog2(WORD / PE) : 1
) (
    input  logic                           clk,
    input  logic                           rst,
    input  logic [        SIMD*X_BITS-1:0] x,
    input  logic [SIMD*PE*WEIGHT_BITS-1:0] weight,
    input  logic                           step,
    input  logic                           first,
    input  logic                           last,
    input  logic [         GROUP_BITS-1:0] group,
    input  logic                           done,
    input  logic [          USER_BITS-1:0] user,
    output logic                           sent,
    output logic [     LANES*OUT_BITS-1:0] m_axis_tdata,
    output logic                           m_axis_tvalid,
    input  logic                           m_axis_tready,
    output logic                           m_axis_tlast,
    output logic [          USER_BITS-1:0] m_axis_tuser
);
  localparam int Sends = WORD / LANES;
  localparam int SendBits = Sends > 1 ? $clog2(Sends) : 1;
  localparam int Latency = 3;

  // The serializer: the result waits in the accumulators until the word before it was sent.
  logic [LANES*ACC_BITS-1:0] sum;
  logic [LANES*OUT_BITS-1:0] out, out_q;
  logic [SendBits-1:0] send;
  logic waiting_q, valid_q;
  logic [USER_BITS-1:0] waiting_user_q, send_user_q;
  logic ready, token_last, send_last;

  wire issue = valid_q && ready;
  wire load = waiting_q && (!valid_q || sent);
  assign sent = issue && send_last;

  beat_counter #(
      .BEATS(Sends)
  ) u_send (
      .clk,
      .rst,
      .step (issue),
      .index(send),
      .last (send_last)
  );
  beat_counter #(
      .BEATS(OUTPUTS / LANES)
  ) u_out (
      .clk,
      .rst,
      .step (issue),
      .index(),
      .last (token_last)
  );

  always_ff @(posedge clk) begin
    if (rst) begin
      waiting_q <= 1'b0;
      valid_q   <= 1'b0;
    end else begin
      waiting_q <= (step && done) || (waiting_q && !load);
      valid_q   <= load || (valid_q && !sent);
    end
  end

  always_ff @(posedge clk) begin
    if (step) waiting_user_q <= user;
    if (load) send_user_q <= waiting_user_q;
  end

  mac_array #(
      .LANES      (LANES),
      .SIMD       (SIMD),
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
      .x,
      .weight,
      .step,
      .first,
      .last,
      .group,
      .load,
      .issue,
      .send,
      .sum
  );
  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    requantize #(
        .IN_BITS   (ACC_BITS),
        .SHIFT     (SHIFT),
        .OUT_BITS  (OUT_BITS),
        .OUT_SIGNED(OUT_SIGNED)
    ) u_requantize (
        .x(sum[l*ACC_BITS+:ACC_BITS]),
        .y(out[l*OUT_BITS+:OUT_BITS])
    );
  end
  always_ff @(posedge clk) out_q <= out;

  stream_pipe #(
      .WIDTH    (LANES * OUT_BITS),
      .USER_BITS(USER_BITS),
      .LATENCY  (Latency),
      .CREDITS  (Latency + 2)
  ) u_pipe (
      .clk,
      .rst,
      .valid (valid_q),
      .ready,
      .last  (token_last),
      .user  (send_user_q),
      .result(out_q),
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
