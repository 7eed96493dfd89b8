// Binary embedding: one token id in, CHANNELS bits out, from a ROM of VOCABULARY x BEATS words (quant/ops/embedding.py).
// The id waits in a FIFO while its beats are issued. Stage 1 is the ROM's output.
module embedding #(
    parameter int VOCABULARY = 256,
    parameter int CHANNELS   = 64,
    parameter int LANES      = 1,
    parameter int IDS_BITS   = 8,
    parameter int CONTEXTS   = 1,
    parameter     TABLE_FILE = ""
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic [      IDS_BITS-1:0] s_axis_ids_tdata,
    input  logic                      s_axis_ids_tvalid,
    output logic                      s_axis_ids_tready,
    input  logic                      s_axis_ids_tlast,
    input  logic [$clog2(CONTEXTS):0] s_axis_ids_tuser,
    output logic [         LANES-1:0] m_axis_tdata,
    output logic                      m_axis_tvalid,
    input  logic                      m_axis_tready,
    output logic                      m_axis_tlast,
    output logic [$clog2(CONTEXTS):0] m_axis_tuser
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the context, and the first token's mark
  localparam int Beats = CHANNELS / LANES;
  localparam int IndexBits = Beats > 1 ? $clog2(Beats) : 1;
  localparam int AddressBits = $clog2(VOCABULARY * Beats) > 0 ? $clog2(VOCABULARY * Beats) : 1;
  localparam int Latency = 1;

  logic [LANES-1:0] rom[VOCABULARY*Beats];
  initial $readmemh(TABLE_FILE, rom);

  logic [IDS_BITS-1:0] id;
  logic [IndexBits-1:0] index;
  logic [AddressBits-1:0] address;
  logic [LANES-1:0] result_q;
  logic valid, ready, last;
  logic [UserBits-1:0] user;

  // An id is a packet of one beat: its tlast says nothing.
  logic unused_last;
  assign unused_last = s_axis_ids_tlast;

  fifo #(
      .WIDTH(IDS_BITS + UserBits),
      .DEPTH(2)
  ) u_ids (
      .clk,
      .rst,
      .s_data ({s_axis_ids_tuser, s_axis_ids_tdata}),
      .s_valid(s_axis_ids_tvalid),
      .s_ready(s_axis_ids_tready),
      .m_data ({user, id}),
      .m_valid(valid),
      .m_ready(ready && last)
  );

  beat_counter #(
      .BEATS(Beats)
  ) u_index (
      .clk,
      .rst,
      .step(valid && ready),
      .index,
      .last
  );

  assign address = AddressBits'(id) * AddressBits'(Beats) + AddressBits'(index);
  always_ff @(posedge clk) result_q <= rom[address];

  stream_pipe #(
      .WIDTH    (LANES),
      .USER_BITS(UserBits),
      .LATENCY  (Latency),
      .CREDITS  (Latency + 2)
  ) u_pipe (
      .clk,
      .rst,
      .valid,
      .ready,
      .last,
      .user,
      .result(result_q),
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser
  );
endmodule
