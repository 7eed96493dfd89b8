// Around the model: what leaves for its logits, and the token that is fed back for the next one.
//
//   mode 0  every token's logits
//   mode 1  every token's likeliest successor
//   mode 2  after the last token of a packet, `count` tokens that the model picks and reads by itself
//   mode 3  of a classifier: a packet's class, the largest of its logits' sums over all tokens of the packet
//
// What is picked is {context, id}, of 8 and 24 bits, as it came in.
//
// A note travels beside each token in flight (the model keeps order), so that modes may change between packets. Output
// packets end with the input's (mode 2: with the last generated token; with several contexts every token, as they
// interleave). A packet that the guard cut ends at its last token, which is marked on tuser; nothing is generated after it.
// A classifier has CLASSES logits, and what it picks is a class: mode 1 picks each token's own, mode 2 has no meaning.
module autoregress #(
    parameter int VOCABULARY = 256,
    parameter int CLASSES    = 0,                                   // 0: logits of VOCABULARY tokens
    parameter int IDS_BITS   = 8,
    parameter int LANES      = 1,
    parameter int LOGIT_BITS = 20,
    parameter int SUM_BITS   = LOGIT_BITS,                          // of a classifier's sums
    parameter int SLOT_BITS  = 32,                                  // of a logit on m_axis, sign extended
    parameter int OUT_BITS   = 32,                                  // max(32, LANES * SLOT_BITS)
    parameter int CONTEXTS   = 1,
    parameter int FLIGHT     = 64,                                  // tokens in the model at once
    parameter int TID_BITS   = CONTEXTS > 1 ? $clog2(CONTEXTS) : 1
) (
    input  logic                        clk,
    input  logic                        rst,
    input  logic [                 1:0] mode,
    input  logic [                15:0] count,
    output logic                        idle,
    input  logic [        IDS_BITS-1:0] s_axis_ids_tdata,
    input  logic                        s_axis_ids_tvalid,
    output logic                        s_axis_ids_tready,
    input  logic                        s_axis_ids_tlast,
    input  logic [                 1:0] s_axis_ids_tuser,
    input  logic [        TID_BITS-1:0] s_axis_ids_tid,
    output logic [        IDS_BITS-1:0] m_axis_ids_tdata,
    output logic                        m_axis_ids_tvalid,
    input  logic                        m_axis_ids_tready,
    output logic                        m_axis_ids_tuser,
    output logic [        TID_BITS-1:0] m_axis_ids_tid,
    input  logic [LANES*LOGIT_BITS-1:0] s_axis_logits_tdata,
    input  logic                        s_axis_logits_tvalid,
    output logic                        s_axis_logits_tready,
    input  logic                        s_axis_logits_tlast,
    output logic [        OUT_BITS-1:0] m_axis_tdata,
    output logic                        m_axis_tvalid,
    input  logic                        m_axis_tready,
    output logic                        m_axis_tlast,
    output logic                        m_axis_tuser,
    output logic [        TID_BITS-1:0] m_axis_tid
);
  localparam int NoteBits = TID_BITS + 20;  // tid, mode, last, bad, tokens still to generate
  localparam logic [1:0] Tokens = 2'd1;
  localparam logic [1:0] Generate = 2'd2;
  localparam logic [1:0] Classify = 2'd3;
  localparam int Outputs = CLASSES != 0 ? CLASSES : VOCABULARY;
  localparam int PickBits = $clog2(Outputs) > IDS_BITS ? $clog2(Outputs) : IDS_BITS;

  // Tokens on their way in: those fed back go first, and a context that generates takes no others.
  logic [IDS_BITS-1:0] new_id, back_id, id;
  logic [TID_BITS-1:0] new_tid, back_tid, tid;
  logic [15:0] back_left, left;
  logic [1:0] new_user, entry_mode;
  logic new_valid, new_last, back_valid, back_place, ids_place, note_place, last, bad, first;
  logic [CONTEXTS-1:0] busy_q;
  wire enter = ids_place && note_place && (back_valid || (new_valid && !busy_q[new_tid]));

  fifo #(
      .WIDTH(IDS_BITS + TID_BITS + 3),
      .DEPTH(2)
  ) u_new (
      .clk,
      .rst,
      .s_data ({s_axis_ids_tid, s_axis_ids_tuser, s_axis_ids_tlast, s_axis_ids_tdata}),
      .s_valid(s_axis_ids_tvalid),
      .s_ready(s_axis_ids_tready),
      .m_data ({new_tid, new_user, new_last, new_id}),
      .m_valid(new_valid),
      .m_ready(enter && !back_valid)
  );

  assign tid        = back_valid ? back_tid : new_tid;
  assign id         = back_valid ? back_id : new_id;
  assign left       = back_valid ? back_left : count;
  assign entry_mode = back_valid ? Generate : mode;
  assign last       = back_valid || new_last;
  assign bad        = !back_valid && new_user[1];
  assign first      = !back_valid && new_user[0];

  fifo #(
      .WIDTH(IDS_BITS + TID_BITS + 1),
      .DEPTH(2)
  ) u_ids (
      .clk,
      .rst,
      .s_data ({tid, first, id}),
      .s_valid(enter),
      .s_ready(ids_place),
      .m_data ({m_axis_ids_tid, m_axis_ids_tuser, m_axis_ids_tdata}),
      .m_valid(m_axis_ids_tvalid),
      .m_ready(m_axis_ids_tready)
  );

  // Notes of the tokens in flight, and where each row of logits goes.
  logic [NoteBits-1:0] note, behind, picked;
  logic note_valid, behind_valid, behind_taken, row_place, out_place, pick_valid;
  logic [PickBits-1:0] pick_id;
  logic [3:0] picking_q;  // rows that are picked from
  wire [1:0] note_mode = note[19:18];
  wire classifies = CLASSES != 0 && note_mode == Classify;
  wire to_pick = note_mode == Tokens || note_mode == Generate || classifies;
  wire is_picked = to_pick && (!classifies || note[17]);  // the row, or the sums that it completes
  wire take = s_axis_logits_tvalid && s_axis_logits_tready;
  wire row = take && s_axis_logits_tlast;
  assign s_axis_logits_tready = note_valid && (to_pick ? row_place : out_place && picking_q == '0);

  fifo #(
      .WIDTH(NoteBits),
      .DEPTH(FLIGHT)
  ) u_notes (
      .clk,
      .rst,
      .s_data ({tid, entry_mode, last, bad, left}),
      .s_valid(enter),
      .s_ready(note_place),
      .m_data (behind),
      .m_valid(behind_valid),
      .m_ready(behind_taken)
  );

  // The first ones in registers: what they say decides when the next is read, too late for a block RAM.
  fifo #(
      .WIDTH(NoteBits),
      .DEPTH(2)
  ) u_note (
      .clk,
      .rst,
      .s_data (behind),
      .s_valid(behind_valid),
      .s_ready(behind_taken),
      .m_data (note),
      .m_valid(note_valid),
      .m_ready(row)
  );

  // A picked token leaves, is fed back, or both; of a prompt before its last token neither.
  wire [TID_BITS-1:0] picked_tid = picked[NoteBits-1:20];
  wire generates = picked[19:18] == Generate;
  wire picked_last = picked[17];
  wire ends = picked[16] || picked[15:0] <= 16'd1;  // a bad packet, or the last token to generate
  wire gives = !generates || picked_last;
  wire feeds = generates && picked_last && !ends;
  wire pick_taken = (!gives || out_place) && (!feeds || back_place);
  wire pick_done = pick_valid && pick_taken;

  // A class is picked from a packet's sums; of one token they are its logits.
  localparam int RowBits = CLASSES != 0 ? SUM_BITS : LOGIT_BITS;
  logic [LANES*RowBits-1:0] row_tdata;
  logic [NoteBits-1:0] row_tuser;
  logic row_tvalid, row_tready, row_tlast;
  if (CLASSES != 0) begin : gen_classifier
    class_sum #(
        .BEATS    ((CLASSES + LANES - 1) / LANES),
        .LANES    (LANES),
        .X_BITS   (LOGIT_BITS),
        .OUT_BITS (SUM_BITS),
        .USER_BITS(NoteBits)
    ) u_class_sum (
        .clk,
        .rst,
        .s_axis_x_tdata (s_axis_logits_tdata),
        .s_axis_x_tvalid(take && to_pick),
        .s_axis_x_tready(row_place),
        .s_axis_x_tlast (s_axis_logits_tlast),
        .s_axis_x_tuser ({note, is_picked}),
        .m_axis_tdata   (row_tdata),
        .m_axis_tvalid  (row_tvalid),
        .m_axis_tready  (row_tready),
        .m_axis_tlast   (row_tlast),
        .m_axis_tuser   (row_tuser)
    );
  end else begin : gen_language_model
    assign row_tdata  = s_axis_logits_tdata;
    assign row_tvalid = take && to_pick;
    assign row_place  = row_tready;
    assign row_tlast  = s_axis_logits_tlast;
    assign row_tuser  = note;
  end

  pick #(
      .VOCABULARY(Outputs),
      .LANES     (LANES),
      .BITS      (RowBits),
      .USER_BITS (NoteBits),
      .ID_BITS   (PickBits)
  ) u_pick (
      .clk,
      .rst,
      .s_axis_tdata (row_tdata),
      .s_axis_tvalid(row_tvalid),
      .s_axis_tready(row_tready),
      .s_axis_tlast (row_tlast),
      .s_axis_tuser (row_tuser),
      .m_axis_tdata (pick_id),
      .m_axis_tvalid(pick_valid),
      .m_axis_tready(pick_taken),
      .m_axis_tuser (picked)
  );

  always_ff @(posedge clk) begin
    if (rst) picking_q <= '0;
    else picking_q <= picking_q + 4'(row && is_picked) - 4'(pick_done);
  end

  for (genvar c = 0; c < CONTEXTS; c++) begin : gen_context
    wire set = enter && !back_valid && new_last && !bad && mode == Generate && new_tid == TID_BITS'(c);
    wire clear = pick_done && generates && picked_last && !picked[16] && ends && picked_tid == TID_BITS'(c);
    always_ff @(posedge clk) busy_q[c] <= rst ? 1'b0 : set || (busy_q[c] && !clear);
  end

  fifo #(
      .WIDTH(TID_BITS + 16 + IDS_BITS),
      .DEPTH(CONTEXTS + 1)
  ) u_back (
      .clk,
      .rst,
      .s_data ({picked_tid, picked[15:0] - 16'd1, pick_id[IDS_BITS-1:0]}),
      .s_valid(pick_done && feeds),
      .s_ready(back_place),
      .m_data ({back_tid, back_left, back_id}),
      .m_valid(back_valid),
      .m_ready(enter)
  );

  // What leaves.
  logic [LANES*SLOT_BITS-1:0] slots;
  for (genvar l = 0; l < LANES; l++) begin : gen_slot
    assign slots[l*SLOT_BITS+:SLOT_BITS] = SLOT_BITS'($signed(s_axis_logits_tdata[l*LOGIT_BITS+:LOGIT_BITS]));
  end
  wire picked_ends = generates ? (CONTEXTS > 1 || ends) : picked_last;

  fifo #(
      .WIDTH(TID_BITS + 2 + OUT_BITS),
      .DEPTH(2)
  ) u_out (
      .clk,
      .rst,
      .s_data (pick_valid ? {picked_tid, picked[16], picked_ends, OUT_BITS'({8'(picked_tid), 24'(pick_id)})}
                          : {note[NoteBits-1:20], row && note[16], row && note[17], OUT_BITS'(slots)}),
      .s_valid(pick_valid ? pick_done && gives : take && !to_pick),
      .s_ready(out_place),
      .m_data({m_axis_tid, m_axis_tuser, m_axis_tlast, m_axis_tdata}),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );

  always_ff @(posedge clk) begin
    idle <= !(new_valid || behind_valid || note_valid || picking_q != '0 || back_valid || m_axis_tvalid);
  end
endmodule
