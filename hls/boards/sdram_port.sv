// Between an AXI4 read channel and LiteDRAM's native port of words of WORD_BITS: bursts of beats in, a word asked for in every
// cycle in which the controller takes one. Words are written one at a time, by another port.
//
// The controller cannot be made to wait with a word that was asked for: a burst's words are asked for when its beats have
// places in the FIFO. All bursts have ID 0 and come back in their order.
module sdram_port #(
    parameter int DATA_BITS    = 64,
    parameter int WORD_BITS    = 16,
    parameter int ADDRESS_BITS = 24,  // of a word's number
    parameter int BURSTS       = 4,   // that wait
    parameter int ROOM         = 64   // beats of the FIFO; at least two bursts of 16
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic [            31:0] s_axi_araddr,
    input  logic [             7:0] s_axi_arlen,
    input  logic                    s_axi_arvalid,
    output logic                    s_axi_arready,
    output logic [   DATA_BITS-1:0] s_axi_rdata,
    output logic                    s_axi_rlast,
    output logic                    s_axi_rvalid,
    input  logic                    s_axi_rready,
    input  logic [ADDRESS_BITS-1:0] write_address,
    input  logic [   WORD_BITS-1:0] write_data,
    input  logic                    write_valid,
    output logic                    write_ready,
    output logic                    cmd_valid,
    input  logic                    cmd_ready,
    output logic                    cmd_we,
    output logic [ADDRESS_BITS-1:0] cmd_addr,
    input  logic                    wdata_ready,
    output logic [   WORD_BITS-1:0] wdata,
    input  logic                    rdata_valid,
    input  logic [   WORD_BITS-1:0] rdata
);
  localparam int Words = DATA_BITS / WORD_BITS;
  localparam int WordBytes = $clog2(WORD_BITS / 8);
  localparam int LeftBits = 8 + $clog2(Words) + 1;
  localparam int RoomBits = $clog2(ROOM + 1);
  localparam int PlaceBits = $clog2(Words) > 0 ? $clog2(Words) : 1;

  // Bursts that wait, and the one whose words are asked for.
  logic [ADDRESS_BITS-1:0] first, word_q;
  logic [7:0] length;
  logic [LeftBits-1:0] left_q;
  logic waiting, takes;
  fifo #(
      .WIDTH(ADDRESS_BITS + 8),
      .DEPTH(BURSTS)
  ) u_bursts (
      .clk,
      .rst,
      .s_data ({ADDRESS_BITS'(s_axi_araddr >> WordBytes), s_axi_arlen}),
      .s_valid(s_axi_arvalid && entry_ready),
      .s_ready(burst_ready),
      .m_data ({first, length}),
      .m_valid(waiting),
      .m_ready(takes)
  );
  logic burst_ready, entry_ready;
  assign s_axi_arready = burst_ready && entry_ready;

  logic [RoomBits-1:0] room_q;
  logic writing_q, sent_q;  // a word is written; its command was taken
  wire asks = left_q != '0;
  wire asked = asks && cmd_ready;
  wire ends = left_q == '0 || (left_q == LeftBits'(1) && asked);
  wire fits = room_q > RoomBits'(length);
  assign takes = waiting && ends && fits && !writing_q && !(write_valid && !asks);
  wire pop = s_axi_rvalid && s_axi_rready;

  assign cmd_valid = asks || (writing_q && !sent_q);
  assign cmd_we = !asks;
  assign cmd_addr = asks ? word_q : write_address;
  assign wdata = write_data;
  assign write_ready = writing_q && wdata_ready;

  always_ff @(posedge clk) begin
    if (rst) begin
      left_q    <= '0;
      room_q    <= RoomBits'(ROOM);
      writing_q <= 1'b0;
      sent_q    <= 1'b0;
    end else begin
      if (takes) left_q <= LeftBits'(int'(length) + 1) << $clog2(Words);
      else if (asked) left_q <= left_q - 1'b1;
      room_q <= room_q + RoomBits'(pop) - (takes ? RoomBits'(length) + 1'b1 : '0);
      if (write_ready) writing_q <= 1'b0;
      else if (write_valid && !asks && !takes) writing_q <= 1'b1;
      if (write_ready) sent_q <= 1'b0;
      else if (writing_q && cmd_ready) sent_q <= 1'b1;
    end
    if (takes) word_q <= first;
    else if (asked) word_q <= word_q + 1'b1;
  end

  // Words to beats.
  logic [PlaceBits-1:0] place_q;
  logic [DATA_BITS-1:0] beat_q;
  logic whole_q;
  always_ff @(posedge clk) begin
    whole_q <= !rst && rdata_valid && place_q == PlaceBits'(Words - 1);
    if (rst) place_q <= '0;
    else if (rdata_valid) place_q <= place_q == PlaceBits'(Words - 1) ? '0 : place_q + 1'b1;
    if (rdata_valid) beat_q <= DATA_BITS'({rdata, beat_q} >> WORD_BITS);
  end
  fifo #(
      .WIDTH(DATA_BITS),
      .DEPTH(ROOM)
  ) u_beats (
      .clk,
      .rst,
      .s_data (beat_q),
      .s_valid(whole_q),
      .s_ready(),
      .m_data (s_axi_rdata),
      .m_valid(s_axi_rvalid),
      .m_ready(s_axi_rready)
  );

  // Where each burst ends.
  logic [7:0] due, beats_q;
  logic unused_due;
  fifo #(
      .WIDTH(8),
      .DEPTH(4 * BURSTS)
  ) u_due (
      .clk,
      .rst,
      .s_data (s_axi_arlen),
      .s_valid(s_axi_arvalid && burst_ready),
      .s_ready(entry_ready),
      .m_data (due),
      .m_valid(unused_due),
      .m_ready(pop && s_axi_rlast)
  );
  assign s_axi_rlast = beats_q == due;
  always_ff @(posedge clk) begin
    if (rst) beats_q <= '0;
    else if (pop) beats_q <= s_axi_rlast ? '0 : beats_q + 1'b1;
  end
endmodule
