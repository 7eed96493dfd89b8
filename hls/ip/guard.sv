// The guard of the token port: only packets as they should be reach the model as they came.
//
// A packet is a sequence of ids, or with `resume` the next piece of its context's sequence. A word is {context, id}, of 8
// and 24 bits; all of a packet have the same context, which tid may say instead (a DMA in direct mode has none). It has
// `length` ids (0: any number) and at most LONGEST (0: any number), each below VOCABULARY. At the first fault (an unknown
// id, tlast too early, tlast missing) the packet is cut: that id is its last one and marked bad, an unknown id enters as
// 0, and the rest up to tlast is drained. A packet of a context that does not exist is drained whole. m_axis_tuser is
// {bad, first of a sequence}.
module guard #(
    parameter int VOCABULARY = 256,
    parameter int LONGEST    = 0,
    parameter int IDS_BITS   = 8,
    parameter int CONTEXTS   = 1,
    parameter int TID_BITS   = CONTEXTS > 1 ? $clog2(CONTEXTS) : 1
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                run,             // takes ids only while this is 1
    input  logic                resume,
    input  logic [        31:0] length,
    output logic [         3:0] fault,           // a pulse: no such context, long, short, unknown id
    output logic [        31:0] fault_position,  // of the id in its packet, from 0
    output logic [        31:0] fault_id,
    input  logic [        31:0] s_axis_tdata,
    input  logic                s_axis_tvalid,
    output logic                s_axis_tready,
    input  logic                s_axis_tlast,
    input  logic [TID_BITS-1:0] s_axis_tid,
    output logic [IDS_BITS-1:0] m_axis_tdata,
    output logic                m_axis_tvalid,
    input  logic                m_axis_tready,
    output logic                m_axis_tlast,
    output logic [         1:0] m_axis_tuser,
    output logic [TID_BITS-1:0] m_axis_tid
);
  logic run_q, inside_q, draining_q, place;
  logic [31:0] position_q;
  logic [7:0] context_q, tag_q;

  assign s_axis_tready = run_q && (draining_q || place);
  wire [7:0] tag = s_axis_tdata[31:24];
  wire [7:0] of_packet = inside_q ? context_q : tag | 8'(s_axis_tid);  // a packet has one context: its first word's

  wire take = s_axis_tvalid && s_axis_tready;
  wire judged = take && !draining_q;
  wire [31:0] ids = position_q + 1'b1;
  wire complete = length != '0 && ids == length;
  wire full = complete || (LONGEST != 0 && ids == 32'(LONGEST));
  wire nowhere = 32'(of_packet) >= 32'(CONTEXTS);
  wire unknown = s_axis_tdata[23:0] >= 24'(VOCABULARY) || (inside_q && tag != tag_q);
  wire [IDS_BITS-1:0] known = unknown ? '0 : s_axis_tdata[IDS_BITS-1:0];
  wire short_of = s_axis_tlast && length != '0 && !complete;
  wire too_long = full && !s_axis_tlast;
  wire bad = nowhere || unknown || short_of || too_long;

  always_ff @(posedge clk) begin
    run_q          <= rst ? 1'b0 : run;
    fault_position <= position_q;
    fault_id       <= 32'(s_axis_tdata[23:0]);
    if (rst || !judged) fault <= '0;
    else if (nowhere) fault <= 4'b1000;
    else if (unknown) fault <= 4'b0001;
    else fault <= {1'b0, too_long, short_of, 1'b0};
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      inside_q   <= 1'b0;
      draining_q <= 1'b0;
      position_q <= '0;
    end else if (take) begin
      inside_q   <= !s_axis_tlast;
      draining_q <= (draining_q || bad) && !s_axis_tlast;
      position_q <= s_axis_tlast ? '0 : position_q + 1'b1;
    end
    if (take) context_q <= of_packet;
    if (take && !inside_q) tag_q <= tag;
  end

  fifo #(
      .WIDTH(TID_BITS + 3 + IDS_BITS),
      .DEPTH(2)
  ) u_fifo (
      .clk,
      .rst,
      .s_data ({of_packet[TID_BITS-1:0], s_axis_tlast || bad, bad, !inside_q && !resume, known}),
      .s_valid(judged && !nowhere),
      .s_ready(place),
      .m_data ({m_axis_tid, m_axis_tlast, m_axis_tuser, m_axis_tdata}),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
endmodule
