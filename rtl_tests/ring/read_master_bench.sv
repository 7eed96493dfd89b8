// The read master with the wires of an AXI4 read channel that it leaves to its top (hls/rtl/rows.py).
module read_master_bench #(
    parameter int DATA_BITS   = 32,
    parameter int BEAT_BITS   = 12,
    parameter int LENGTH_BITS = 6,
    parameter int BURST       = 4,
    parameter int OUTSTANDING = 3,
    parameter int ROOM        = 16,
    parameter int PATIENCE    = 100
) (
    input  logic                   clk,
    input  logic                   rst,
    input  logic                   memory_rst,
    input  logic [           31:0] base,
    input  logic [    BEAT_BITS:0] size,
    input  logic [  BEAT_BITS-1:0] run_first,
    input  logic [LENGTH_BITS-1:0] run_beats,
    input  logic                   run_valid,
    output logic                   run_ready,
    output logic [  DATA_BITS-1:0] data,
    output logic                   valid,
    input  logic                   ready,
    output logic [            3:0] fault,
    output logic                   m_axi_arid,
    output logic [           31:0] m_axi_araddr,
    output logic [            7:0] m_axi_arlen,
    output logic [            2:0] m_axi_arsize,
    output logic [            1:0] m_axi_arburst,
    output logic                   m_axi_arlock,
    output logic [            3:0] m_axi_arcache,
    output logic [            2:0] m_axi_arprot,
    output logic                   m_axi_arvalid,
    input  logic                   m_axi_arready,
    input  logic                   m_axi_rid,
    input  logic [  DATA_BITS-1:0] m_axi_rdata,
    input  logic [            1:0] m_axi_rresp,
    input  logic                   m_axi_rlast,
    input  logic                   m_axi_rvalid,
    output logic                   m_axi_rready
);
  assign m_axi_arid = 1'b0;
  assign m_axi_arsize = 3'($clog2(DATA_BITS / 8));
  assign m_axi_arburst = 2'b01;
  assign m_axi_arlock = 1'b0;
  assign m_axi_arcache = 4'b0011;
  assign m_axi_arprot = 3'b000;
  read_master #(
      .ADDRESS_BITS(32),
      .DATA_BITS   (DATA_BITS),
      .BEAT_BITS   (BEAT_BITS),
      .LENGTH_BITS (LENGTH_BITS),
      .BURST       (BURST),
      .OUTSTANDING (OUTSTANDING),
      .ROOM        (ROOM),
      .PATIENCE    (PATIENCE)
  ) u_master (
      .*
  );
endmodule
