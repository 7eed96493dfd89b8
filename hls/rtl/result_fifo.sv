// Result words that have a place before they begin: sums come LANES a beat, are re-quantized, and never wait.
//
// `take`: a word of WORD outputs, or of what is left of a token, begins, and takes one of PLACES; `room`: there is one. It
// is free again when the word has left. `user` is that word's, and `valid` says that `sum` is a beat of the words that were begun, in their order. A beat
// in cycle t can leave in t+2.
module result_fifo #(
    parameter int OUTPUTS    = 64,
    parameter int LANES      = 1,
    parameter int WORD       = 8,
    parameter int PLACES     = 2,
    parameter int SUM_BITS   = 22,
    parameter int SHIFT      = 7,
    parameter int OUT_BITS   = 8,
    parameter int OUT_SIGNED = 1,
    parameter int USER_BITS  = 1
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic                      take,
    input  logic [     USER_BITS-1:0] user,
    output logic                      room,
    input  logic                      valid,
    input  logic [LANES*SUM_BITS-1:0] sum,
    output logic [LANES*OUT_BITS-1:0] m_axis_tdata,
    output logic                      m_axis_tvalid,
    input  logic                      m_axis_tready,
    output logic                      m_axis_tlast,
    output logic [     USER_BITS-1:0] m_axis_tuser
);
  localparam int Sends = WORD / LANES;
  localparam int SendBits = Sends > 1 ? $clog2(Sends) : 1;
  localparam int TakenBits = $clog2(PLACES + 1);

  logic [TakenBits-1:0] taken_q;
  logic [LANES*OUT_BITS-1:0] out, out_q;
  logic valid_q;
  logic [SendBits-1:0] send_q;  // of a word's beats

  wire leave = m_axis_tvalid && m_axis_tready;
  wire left = leave && (send_q == SendBits'(Sends - 1) || m_axis_tlast);
  assign room = taken_q != TakenBits'(PLACES);

  always_ff @(posedge clk) begin
    taken_q <= rst ? '0 : taken_q + TakenBits'(take) - TakenBits'(left);
    valid_q <= !rst && valid;
    out_q   <= out;
  end

  always_ff @(posedge clk) begin
    if (rst) send_q <= '0;
    else if (leave) send_q <= left ? '0 : send_q + 1'b1;
  end
  beat_counter #(
      .BEATS(OUTPUTS / LANES)
  ) u_out (
      .clk,
      .rst,
      .step (leave),
      .index(),
      .last (m_axis_tlast)
  );

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    requantize #(
        .IN_BITS   (SUM_BITS),
        .SHIFT     (SHIFT),
        .OUT_BITS  (OUT_BITS),
        .OUT_SIGNED(OUT_SIGNED)
    ) u_requantize (
        .x(sum[l*SUM_BITS+:SUM_BITS]),
        .y(out[l*OUT_BITS+:OUT_BITS])
    );
  end

  fifo #(
      .WIDTH(USER_BITS),
      .DEPTH(PLACES)
  ) u_users (
      .clk,
      .rst,
      .s_data (user),
      .s_valid(take),
      .s_ready(),
      .m_data (m_axis_tuser),
      .m_valid(),
      .m_ready(left)
  );
  fifo #(
      .WIDTH(LANES * OUT_BITS),
      .DEPTH(PLACES * Sends)
  ) u_fifo (
      .clk,
      .rst,
      .s_data (out_q),
      .s_valid(valid_q),
      .s_ready(),
      .m_data (m_axis_tdata),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
endmodule
