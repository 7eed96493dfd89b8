// Class sum: y[c] = sum over a sentence's tokens of x[c] (quant/ops/class_sum.py), LANES classes per beat.
//
// A token is a packet of BEATS beats. s_axis_x_tuser[0] is 1 on all beats of a sentence's last token: with these its sums
// leave, a packet of as many beats, and the next token begins another sentence. What lies above that bit leaves with
// them. OUT_BITS is for the longest sentence there may be; no logit is refused while a place is free in the FIFO.
module class_sum #(
    parameter int BEATS     = 1,
    parameter int LANES     = 2,
    parameter int X_BITS    = 20,
    parameter int OUT_BITS  = 30,
    parameter int USER_BITS = 1
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic [  LANES*X_BITS-1:0] s_axis_x_tdata,
    input  logic                      s_axis_x_tvalid,
    output logic                      s_axis_x_tready,
    input  logic                      s_axis_x_tlast,
    input  logic [       USER_BITS:0] s_axis_x_tuser,
    output logic [LANES*OUT_BITS-1:0] m_axis_tdata,
    output logic                      m_axis_tvalid,
    input  logic                      m_axis_tready,
    output logic                      m_axis_tlast,
    output logic [     USER_BITS-1:0] m_axis_tuser
);
  localparam int Width = LANES * OUT_BITS;
  localparam int BeatBits = BEATS > 1 ? $clog2(BEATS) : 1;

  logic [Width-1:0] sums[BEATS];  // of the sentence so far
  logic [Width-1:0] so_far, sum;
  logic [BeatBits-1:0] beat_q;
  logic first_q;  // this token is its sentence's first
  wire take = s_axis_x_tvalid && s_axis_x_tready;
  wire ends = s_axis_x_tuser[0];

  assign so_far = first_q ? '0 : sums[beat_q];
  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    assign sum[l*OUT_BITS+:OUT_BITS] = so_far[l*OUT_BITS+:OUT_BITS] + OUT_BITS'($signed(
        s_axis_x_tdata[l*X_BITS+:X_BITS]
    ));
  end

  always_ff @(posedge clk) begin
    if (take) sums[beat_q] <= sum;
    if (rst) begin
      beat_q  <= '0;
      first_q <= 1'b1;
    end else if (take) begin
      beat_q <= s_axis_x_tlast ? '0 : beat_q + 1'b1;
      if (s_axis_x_tlast) first_q <= ends;
    end
  end

  fifo #(
      .WIDTH(USER_BITS + 1 + Width),
      .DEPTH(2)
  ) u_fifo (
      .clk,
      .rst,
      .s_data ({s_axis_x_tuser[USER_BITS:1], s_axis_x_tlast, sum}),
      .s_valid(take && ends),
      .s_ready(s_axis_x_tready),
      .m_data ({m_axis_tuser, m_axis_tlast, m_axis_tdata}),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
endmodule
