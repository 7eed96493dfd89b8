// What read_master.sv promises. Without GOOD its memory may do anything: answer what was not asked, too much, too little,
// late or never. With GOOD it keeps AXI's rules, in time, and a byte of it is its own address. A beat is a byte here.
module read_master_rules #(
    parameter int GOOD        = 0,
    parameter int BURST       = 2,
    parameter int OUTSTANDING = 2,
    parameter int ROOM        = 2,
    parameter int PATIENCE    = 2
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        restart,    // the reader, not its memory
    input  logic [13:0] base,
    input  logic [12:0] size,
    input  logic [11:0] run_first,
    input  logic [ 1:0] run_beats,
    input  logic        run_valid,
    input  logic        ready,
    input  logic        arready,
    input  logic        rvalid,
    input  logic [ 7:0] rdata,
    input  logic [ 1:0] rresp,
    input  logic        rid,
    input  logic        rlast,
    input  logic        choose,     // this run for the account of one of its beats
    input  logic [ 1:0] pick,       // which
    output logic        assumed,
    output logic        broken
);
  // Cycles from a reader that waits to its beat: what a memory may wait, and what is done before and behind it.
  localparam int Late = 2 * PATIENCE + 8;
  localparam int LateBits = $clog2(Late + 1);

  logic run_ready, valid, arvalid, rready;
  logic [7:0] data, arlen;
  logic [13:0] araddr;
  logic [ 3:0] fault;

  read_master #(
      .ADDRESS_BITS(14),
      .DATA_BITS   (8),
      .BEAT_BITS   (12),
      .LENGTH_BITS (2),
      .BURST       (BURST),
      .OUTSTANDING (OUTSTANDING),
      .ROOM        (ROOM),
      .PATIENCE    (PATIENCE)
  ) u_master (
      .clk,
      .rst          (rst || restart),
      .memory_rst   (rst),
      .base,
      .size,
      .run_first,
      .run_beats,
      .run_valid,
      .run_ready,
      .data,
      .valid,
      .ready,
      .fault,
      .m_axi_araddr (araddr),
      .m_axi_arlen  (arlen),
      .m_axi_arvalid(arvalid),
      .m_axi_arready(arready),
      .m_axi_rdata  (rdata),
      .m_axi_rresp  (rresp),
      .m_axi_rid    (rid),
      .m_axi_rlast  (rlast),
      .m_axi_rvalid (rvalid),
      .m_axi_rready (rready)
  );
  wire took = run_valid && run_ready;
  wire left = valid && ready;
  wire begins = rst || restart;

  // AXI4, A3.2.1 and A3.4.1: what is asked for holds until it is taken; no burst crosses 4 KB; and none leaves the window.
  logic held_q, asks;
  logic [13:0] araddr_q;
  logic [ 7:0] arlen_q;
  wire  [14:0] window_end = 15'(base) + 15'(size);
  wire  [14:0] burst_end = 15'(araddr) + 15'(arlen) + 15'd1;
  wire         page = 13'(araddr[11:0]) + 13'(arlen) < 13'h1000;
  assign asks = arlen < 8'(BURST) && page && araddr >= base && burst_end <= window_end;
  wire keeps = !held_q || (arvalid && araddr == araddr_q && arlen == arlen_q);

  // As many beats come as were asked for, each in time.
  logic [3:0] owed_q;
  logic [LateBits-1:0] late_q;
  wire owed = !valid || owed_q != '0;
  wire in_time = late_q != LateBits'(Late);

  // A good memory: bursts in their order, each with its beats, its last one marked.
  logic asked_valid;
  logic [13:0] asked_at;
  logic [7:0] asked_len, beat_q;
  logic [$clog2(PATIENCE + 1)-1:0] quiet_q;
  wire beat_last = beat_q == asked_len;
  wire moves = rvalid || (arvalid && arready);
  wire good = (!rvalid || (asked_valid && rdata == 8'(asked_at) + beat_q && rlast == beat_last && rresp == '0 && !rid))
      && quiet_q < ($clog2(
      PATIENCE + 1
  ))'(PATIENCE - 1);
  fifo #(
      .WIDTH(22),
      .DEPTH(OUTSTANDING)
  ) u_asked (
      .clk,
      .rst,
      .s_data ({araddr, arlen}),
      .s_valid(arvalid && arready),
      .s_ready(),
      .m_data ({asked_at, asked_len}),
      .m_valid(asked_valid),
      .m_ready(rvalid && rready && beat_last)
  );

  // One beat of one run: that of its address in the window, 0 outside.
  logic chosen_q, outside_q;
  logic [3:0] before_q;  // it
  logic [7:0] at_q;
  wire right = !(chosen_q && before_q == '0 && valid) || data == (outside_q ? '0 : at_q);
  wire honest = fault[3] == 1'b0 && fault[1:0] == 2'd0;

  assign assumed = window_end <= 15'h4000 && (!choose || pick < run_beats) && (GOOD == 0 || good);
  assign broken  = !((!arvalid || asks) && keeps && owed && in_time && (GOOD == 0 || (right && honest)));

  always_ff @(posedge clk) begin
    held_q   <= !rst && arvalid && !arready;
    araddr_q <= araddr;
    arlen_q  <= arlen;
    if (begins) begin
      owed_q   <= '0;
      late_q   <= '0;
      chosen_q <= 1'b0;
    end else begin
      owed_q <= owed_q + (took ? 4'(run_beats) : '0) - 4'(left);
      late_q <= !ready || left || owed_q == '0 ? '0 : late_q + 1'b1;
      if (took && choose && !chosen_q) chosen_q <= 1'b1;
      else if (left && before_q == '0) chosen_q <= 1'b0;
    end
    if (rst) begin
      beat_q  <= '0;
      quiet_q <= '0;
    end else begin
      quiet_q <= moves || !(arvalid || asked_valid) ? '0 : quiet_q + 1'b1;
      if (rvalid && rready) beat_q <= beat_last ? '0 : beat_q + 1'b1;
    end
    if (!chosen_q) begin
      before_q  <= owed_q - 4'(left) + 4'(pick);
      at_q      <= 8'(base) + 8'(run_first) + 8'(pick);
      outside_q <= 14'(run_first) + 14'(run_beats) > 14'(size);
    end else before_q <= before_q - 4'(left);
  end
endmodule
