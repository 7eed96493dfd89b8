// Offers tokens, ids or channels, and takes what goes out at the ports of the model. What to offer and when to pause lies in files, so that
// Python sleeps while beats move: it waits for `packets` to count one more, judges `packet`, which is {whether all its
// beats had these marks, how many they were, tid, tuser}, and may read its `words` and answer with an id.
//
//   tokens.beats   one beat a line: {tid, tuser, tdata}; behind them comes `fed`, each time that `feeds` changes
//   source.pauses  the cycles from reset on in which no new beat is offered, as `pauses.sv` reads them
//   sink.pauses    those in which no logits are taken
//   +WINDOW=n      so many tokens may be ahead of their logits: the next comes in the cycle after a packet (0: no bound)
module driver #(
    parameter int SOURCE_BITS = 8,
    parameter int SOURCE_BEATS = 1,
    parameter int TID_BITS = 1,
    parameter int LOGITS_BITS = 8,
    parameter int BEATS = 1
) (
    input  logic                              clk,
    input  logic                              rst,
    output logic [           SOURCE_BITS-1:0] s_axis_tdata,
    output logic                              s_axis_tvalid,
    input  logic                              s_axis_tready,
    output logic                              s_axis_tlast,
    output logic                              s_axis_tuser,
    output logic [              TID_BITS-1:0] s_axis_tid,
    input  logic [           LOGITS_BITS-1:0] m_axis_tdata,
    input  logic                              m_axis_tvalid,
    output logic                              m_axis_tready,
    input  logic                              m_axis_tlast,
    input  logic                              m_axis_tuser,
    input  logic [              TID_BITS-1:0] m_axis_tid,
    input  logic [TID_BITS+1+SOURCE_BITS-1:0] fed,
    input  logic [                      31:0] feeds,
    output logic [                      31:0] packets,
    output logic [             TID_BITS+33:0] packet
);
  typedef logic [TID_BITS+1+SOURCE_BITS-1:0] beat_t;

  string folder;
  int file, window;
  beat_t waiting[$];
  initial begin
    beat_t line;
    if (!$value$plusargs("TAPS=%s", folder)) folder = ".";
    if (!$value$plusargs("WINDOW=%d", window)) window = 0;
    file = $fopen({folder, "/tokens.beats"}, "r");
    while ($fscanf(file, "%h", line) == 1) waiting.push_back(line);
    $fclose(file);
  end

  logic source_pauses, sink_pauses;
  pauses #(
      .NAME("source")
  ) u_source_pauses (
      .clk,
      .rst,
      .paused(source_pauses)
  );
  pauses #(
      .NAME("sink")
  ) u_sink_pauses (
      .clk,
      .rst,
      .paused(sink_pauses)
  );

  // A beat that was offered stays until it is taken; `sent` counts tokens, `place` is the next beat's in its token.
  logic [31:0] sent, seen, place;
  logic full, held, moved, done;
  assign s_axis_tvalid = full && (held || !source_pauses);
  assign moved = s_axis_tvalid && s_axis_tready;
  always_ff @(posedge clk) begin
    if (rst) begin
      {full, held} <= '0;
      sent <= '0;
      seen <= '0;
      place <= '0;
    end else begin
      if (feeds != seen) waiting.push_back(fed);
      seen <= feeds;
      held <= s_axis_tvalid && !s_axis_tready;
      if (!full || moved) begin
        full <= 1'b0;
        if (waiting.size() != 0 && (place != 0 || window == 0 || sent < window + packets + 32'(done))) begin
          {s_axis_tid, s_axis_tuser, s_axis_tdata} <= waiting.pop_front();
          s_axis_tlast <= place + 1 == SOURCE_BEATS;
          place <= place + 1 == SOURCE_BEATS ? '0 : place + 1;
          full <= 1'b1;
          sent <= sent + 32'(place == 0);
        end
      end
    end
  end

  logic [LOGITS_BITS-1:0] words[BEATS]  /* verilator public_flat_rd */;
  logic [31:0] beat;
  logic [TID_BITS:0] marks, first_marks;  // {tid, tuser} of this beat, and of its packet's first
  logic even;  // all beats so far had the same
  assign marks = beat == 0 ? {m_axis_tid, m_axis_tuser} : first_marks;
  assign m_axis_tready = !rst && !sink_pauses;
  assign done = m_axis_tvalid && m_axis_tready && m_axis_tlast;
  always_ff @(posedge clk) begin
    if (rst) begin
      beat <= '0;
      packets <= '0;
      even <= 1'b1;
    end else if (m_axis_tvalid && m_axis_tready) begin
      if (beat < BEATS) words[beat] <= m_axis_tdata;
      first_marks <= marks;
      even <= m_axis_tlast || (even && {m_axis_tid, m_axis_tuser} == marks);
      beat <= m_axis_tlast ? '0 : beat + 1;
      packets <= packets + 32'(m_axis_tlast);
      if (m_axis_tlast) packet <= {even && {m_axis_tid, m_axis_tuser} == marks, beat + 1, marks};
    end
  end
endmodule
