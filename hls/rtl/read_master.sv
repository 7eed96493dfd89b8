// An AXI4 read master: runs of beats, each one contiguous, come out as one stream in their order (docs/memory.md).
//
// A run is cut into bursts of at most BURST beats, none across 4 KB. A burst is asked for when the FIFO has room for all of
// it, so the memory never waits for a reader, and when fewer than OUTSTANDING are on their way; all have ID 0, so they come
// back in their order. Addresses are counted in beats from `base` on, and none from `size` on is ever asked for: what is
// not there is 0. Nor does a fault hang anything: what does not come is 0, and `fault` says so until reset: bit 0 a response
// that is not OKAY, or to another ID, bit 1 a burst of another length, bit 2 a run outside the window, bit 3 no answer for
// PATIENCE cycles; behind that nothing is asked for any more.
//
// `rst` is the reader's: what was asked for before still comes, as AXI wants, and is thrown away before anything else is
// asked for. `memory_rst` is the port's: the memory forgets, too.
module read_master #(
    parameter int ADDRESS_BITS = 32,
    parameter int DATA_BITS    = 64,
    parameter int BEAT_BITS    = 20,   // of a beat's number in the window
    parameter int LENGTH_BITS  = 9,    // of a run's beats
    parameter int BURST        = 16,
    parameter int OUTSTANDING  = 8,
    parameter int ROOM         = 128,  // beats of the FIFO
    parameter int PATIENCE     = 4096
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic                    memory_rst,
    input  logic [ADDRESS_BITS-1:0] base,
    input  logic [     BEAT_BITS:0] size,
    input  logic [   BEAT_BITS-1:0] run_first,
    input  logic [ LENGTH_BITS-1:0] run_beats,
    input  logic                    run_valid,
    output logic                    run_ready,
    output logic [   DATA_BITS-1:0] data,
    output logic                    valid,
    input  logic                    ready,
    output logic [             3:0] fault,
    output logic [ADDRESS_BITS-1:0] m_axi_araddr,
    output logic [             7:0] m_axi_arlen,
    output logic                    m_axi_arvalid,
    input  logic                    m_axi_arready,
    input  logic [   DATA_BITS-1:0] m_axi_rdata,
    input  logic [             1:0] m_axi_rresp,
    input  logic                    m_axi_rid,
    input  logic                    m_axi_rlast,
    input  logic                    m_axi_rvalid,
    output logic                    m_axi_rready
);
  localparam int ByteBits = $clog2(DATA_BITS / 8);
  localparam int PageBits = 12 - ByteBits;  // of a beat's number in 4 KB
  localparam int BurstBits = $clog2(BURST + 1);
  localparam int RoomBits = $clog2(ROOM + 1);
  localparam int WaitBits = $clog2(PATIENCE + 1);
  localparam int FlightBits = $clog2(OUTSTANDING + 1);

  // The run that is cut: what is left of it, and whether it lies outside.
  logic [BEAT_BITS:0] first_q;  // with a bit more, as a run may end behind the last address
  logic [LENGTH_BITS-1:0] left_q;
  logic busy_q;
  logic [BEAT_BITS:0] size_q;  // when the run came
  logic [RoomBits-1:0] room_q;  // places of the FIFO that no burst has taken
  logic issue, stale, dead_q, entry_ready;
  logic [BurstBits-1:0] length;
  logic [PageBits-1:0] in_page;
  logic [PageBits:0] page_left;

  assign run_ready = !busy_q;
  always_comb begin
    in_page = PageBits'(first_q + (BEAT_BITS + 1)'(base >> ByteBits));
    page_left = (PageBits + 1)'(1 << PageBits) - (PageBits + 1)'(in_page);
    length = BurstBits'(BURST);
    if (int'(page_left) < BURST) length = BurstBits'(page_left);
    if (int'(left_q) < int'(length)) length = BurstBits'(left_q);
  end
  // The run ends where what is left of it does: as a wire of registers this is on nobody's longest path.
  wire  outside = (BEAT_BITS + 2)'(first_q) + (BEAT_BITS + 2)'(left_q) > (BEAT_BITS + 2)'(size_q);
  logic asks;
  assign asks = !outside && !dead_q;
  assign issue = !rst && busy_q && !stale && room_q >= RoomBits'(length) && entry_ready
      && !(asks && m_axi_arvalid && !m_axi_arready);
  wire pop = valid && ready;

  always_ff @(posedge clk) begin
    if (rst) begin
      busy_q <= 1'b0;
      room_q <= RoomBits'(ROOM);
    end else begin
      if (run_valid && run_ready) busy_q <= run_beats != '0;
      else if (issue && LENGTH_BITS'(length) == left_q) busy_q <= 1'b0;
      room_q <= room_q + RoomBits'(pop) - (issue ? RoomBits'(length) : '0);
    end
  end
  always_ff @(posedge clk) begin
    if (run_valid && run_ready) begin
      first_q <= (BEAT_BITS + 1)'(run_first);
      left_q  <= run_beats;
      size_q  <= size;
    end else if (issue) begin
      first_q <= first_q + (BEAT_BITS + 1)'(length);
      left_q  <= left_q - LENGTH_BITS'(length);
    end
  end

  // AR holds until it is taken.
  always_ff @(posedge clk) begin
    if (memory_rst) m_axi_arvalid <= 1'b0;
    else if (issue && asks) m_axi_arvalid <= 1'b1;
    else if (m_axi_arready) m_axi_arvalid <= 1'b0;
  end
  always_ff @(posedge clk) begin
    if (issue && asks) begin
      m_axi_araddr <= base + (ADDRESS_BITS'(first_q) << ByteBits);
      m_axi_arlen  <= 8'(length) - 8'd1;
    end
  end

  // Bursts that are due, in their order: how many beats, and whether the memory was asked for them.
  logic [BurstBits-1:0] due, beat_q;
  logic due_asked, due_valid, due_last;
  logic skip_q, short_q;  // beats come that nobody asked for; the rest of a burst does not come
  wire take = m_axi_rvalid && m_axi_rready;
  wire fill = due_valid && (!due_asked || dead_q || short_q);  // with 0
  wire write = fill || (take && !skip_q && !dead_q && !stale);
  assign due_last = beat_q == due - 1'b1;
  assign m_axi_rready = dead_q || skip_q || stale || (due_valid && !fill);

  // Bursts that the memory owes, whoever asked; and of them those from before a reset.
  logic [FlightBits-1:0] flight_q, flight, stale_q;
  wire came = take && m_axi_rlast && flight_q != '0;
  assign flight = flight_q + FlightBits'(issue && asks) - FlightBits'(came);
  assign stale  = stale_q != '0 && !dead_q;
  always_ff @(posedge clk) begin
    flight_q <= memory_rst ? '0 : flight;
    if (memory_rst) stale_q <= '0;
    else if (rst) stale_q <= flight;
    else stale_q <= stale_q - FlightBits'(came && stale);
  end

  fifo #(
      .WIDTH(BurstBits + 1),
      .DEPTH(OUTSTANDING)
  ) u_due (
      .clk,
      .rst,
      .s_data ({asks, length}),
      .s_valid(issue),
      .s_ready(entry_ready),
      .m_data ({due_asked, due}),
      .m_valid(due_valid),
      .m_ready(write && due_last)
  );
  fifo #(
      .WIDTH(DATA_BITS),
      .DEPTH(ROOM)
  ) u_data (
      .clk,
      .rst,
      .s_data (fill ? '0 : m_axi_rdata),
      .s_valid(write),
      .s_ready(),
      .m_data (data),
      .m_valid(valid),
      .m_ready(ready)
  );

  logic [WaitBits-1:0] wait_q;
  wire waits = !dead_q && ((due_valid && due_asked && !short_q) || m_axi_arvalid || stale);
  wire moves = m_axi_rvalid || (m_axi_arvalid && m_axi_arready);
  always_ff @(posedge clk) begin
    if (rst) begin
      beat_q  <= '0;
      skip_q  <= 1'b0;
      short_q <= 1'b0;
      dead_q  <= 1'b0;
      wait_q  <= '0;
      fault   <= '0;
    end else begin
      if (write) beat_q <= due_last ? '0 : beat_q + 1'b1;
      if (write && due_last) short_q <= 1'b0;
      else if (take && m_axi_rlast && write) short_q <= 1'b1;
      if (take && m_axi_rlast) skip_q <= 1'b0;
      else if (take && write && due_last) skip_q <= 1'b1;
      wait_q <= !waits || moves ? '0 : wait_q + 1'b1;
      if (wait_q == WaitBits'(PATIENCE)) dead_q <= 1'b1;
      if (take && !dead_q && !stale) begin
        if (m_axi_rresp != 2'd0 || m_axi_rid) fault[0] <= 1'b1;
        if (skip_q || m_axi_rlast != due_last) fault[1] <= 1'b1;
      end
      if (issue && outside) fault[2] <= 1'b1;
      if (wait_q == WaitBits'(PATIENCE)) fault[3] <= 1'b1;
    end
  end
endmodule
