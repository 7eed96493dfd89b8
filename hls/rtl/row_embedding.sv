// Binary embedding whose table lies in a memory outside: one token id in, a row of CHANNELS bits out (docs/memory.md).
//
// A row takes ROW_BEATS beats of the memory from beat FIRST + id * ROW_BEATS on. It is asked for when the one before has been
// sent, so that what comes always has a place.
module row_embedding #(
    parameter int CHANNELS    = 64,
    parameter int LANES       = 1,
    parameter int IDS_BITS    = 8,
    parameter int CONTEXTS    = 1,
    parameter int DATA_BITS   = 64,
    parameter int BEAT_BITS   = 20,
    parameter int LENGTH_BITS = 9,
    parameter int FIRST       = 0,
    parameter int ROW_BEATS   = 1
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
    output logic [$clog2(CONTEXTS):0] m_axis_tuser,
    output logic [     BEAT_BITS-1:0] run_first,
    output logic [   LENGTH_BITS-1:0] run_beats,
    output logic                      coming,             // a token is on its way
    output logic                      run_valid,
    input  logic                      run_ready,
    input  logic [     DATA_BITS-1:0] data,
    input  logic                      data_valid,
    output logic                      data_ready
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the context, and the first token's mark
  localparam int Beats = CHANNELS / LANES;
  localparam int Parts = DATA_BITS / LANES;  // beats that a beat of the memory holds
  localparam int PartBits = Parts > 1 ? $clog2(Parts) : 1;
  localparam int RowBits = ROW_BEATS > 1 ? $clog2(ROW_BEATS) : 1;

  // An id is a packet of one beat: its tlast says nothing.
  logic unused_last;
  assign unused_last = s_axis_ids_tlast;

  typedef enum logic [1:0] {
    Ask,
    Fill,
    Give
  } state_e;
  state_e state_q;
  logic [IDS_BITS-1:0] id;
  logic id_valid, part_last, fill_last, last;
  logic [PartBits-1:0] part;
  logic [RowBits-1:0] row, fill;
  logic [DATA_BITS-1:0] rows [2**RowBits];
  logic [DATA_BITS-1:0] word;

  fifo #(
      .WIDTH(IDS_BITS + UserBits),
      .DEPTH(2)
  ) u_ids (
      .clk,
      .rst,
      .s_data ({s_axis_ids_tuser, s_axis_ids_tdata}),
      .s_valid(s_axis_ids_tvalid),
      .s_ready(s_axis_ids_tready),
      .m_data ({m_axis_tuser, id}),
      .m_valid(id_valid),
      .m_ready(give && last)
  );
  assign run_first  = BEAT_BITS'(FIRST) + BEAT_BITS'(id) * BEAT_BITS'(ROW_BEATS);
  assign run_beats  = LENGTH_BITS'(ROW_BEATS);
  assign coming     = id_valid;
  assign run_valid  = state_q == Ask && id_valid;
  assign data_ready = state_q == Fill;
  wire filled = data_ready && data_valid;
  wire give = m_axis_tvalid && m_axis_tready;

  beat_counter #(
      .BEATS(ROW_BEATS)
  ) u_fill (
      .clk,
      .rst,
      .step (filled),
      .index(fill),
      .last (fill_last)
  );
  beat_counter #(
      .BEATS(Beats)
  ) u_beat (
      .clk,
      .rst,
      .step (give),
      .index(),
      .last (last)
  );
  always_ff @(posedge clk) begin
    if (rst) state_q <= Ask;
    else
      case (state_q)
        Ask: if (run_valid && run_ready) state_q <= Fill;
        Fill: if (filled && fill_last) state_q <= Give;
        default: if (give && last) state_q <= Ask;
      endcase
  end
  always_ff @(posedge clk) begin
    if (rst || (give && last)) begin
      part <= '0;
      row  <= '0;
    end else if (give) begin
      part <= part_last ? '0 : part + 1'b1;
      if (part_last) row <= row + 1'b1;
    end
  end
  assign part_last = part == PartBits'(Parts - 1);
  always_ff @(posedge clk) if (filled) rows[fill] <= data;
  assign word = rows[row];
  assign m_axis_tdata = word[part*LANES+:LANES];
  assign m_axis_tvalid = state_q == Give;
  assign m_axis_tlast = last;
endmodule
