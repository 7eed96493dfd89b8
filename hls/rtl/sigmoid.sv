// Sigmoid: y = table[x], one entry per input value (quant/ops/sigmoid.py). The table is addressed by x's bits as they
// are, so its second half holds the negative inputs. Stage 1 is the table's output.
module sigmoid #(
    parameter int LANES      = 1,
    parameter int X_BITS     = 8,
    parameter int OUT_BITS   = 8,
    parameter int CONTEXTS   = 1,
    parameter     TABLE_FILE = ""
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
  localparam int Latency = 1;
  logic [LANES*OUT_BITS-1:0] result_q;

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic [OUT_BITS-1:0] rom[2**X_BITS];
    initial $readmemh(TABLE_FILE, rom);
    always_ff @(posedge clk) result_q[l*OUT_BITS+:OUT_BITS] <= rom[s_axis_x_tdata[l*X_BITS+:X_BITS]];
  end

  stream_pipe #(
      .WIDTH    (LANES * OUT_BITS),
      .USER_BITS(UserBits),
      .LATENCY  (Latency),
      .CREDITS  (Latency + 2)
  ) u_pipe (
      .clk,
      .rst,
      .valid (s_axis_x_tvalid),
      .ready (s_axis_x_tready),
      .last  (s_axis_x_tlast),
      .user  (s_axis_x_tuser),
      .result(result_q),
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
