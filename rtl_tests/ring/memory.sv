// LiteDRAM's controller (controller.py writes it) as the testbench's memory. In memory.notes: `a` and the cycles in which an
// address was first offered and was taken, `r` and the cycle of a beat, and whether it ends its burst.
module memory #(
    parameter int DATA_BITS = 64,
    parameter int WORDS     = 1024
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic [         31:0] base,
    input  logic [         31:0] m_axi_araddr,
    input  logic [          7:0] m_axi_arlen,
    input  logic                 m_axi_arvalid,
    output logic                 m_axi_arready,
    output logic                 m_axi_rid,
    output logic [DATA_BITS-1:0] m_axi_rdata,
    output logic [          1:0] m_axi_rresp,
    output logic                 m_axi_rlast,
    output logic                 m_axi_rvalid,
    input  logic                 m_axi_rready
);
  controller u_controller (
      .sys_clk(clk),
      .sys_rst(rst),
      .ar_payload_addr(m_axi_araddr - base),
      .ar_payload_len(m_axi_arlen),
      .ar_payload_size(3'($clog2(DATA_BITS / 8))),
      .ar_payload_burst(2'd1),
      .ar_valid(m_axi_arvalid),
      .ar_ready(m_axi_arready),
      .r_payload_data(m_axi_rdata),
      .r_payload_resp(m_axi_rresp),
      .r_param_id(m_axi_rid),
      .r_last(m_axi_rlast),
      .r_valid(m_axi_rvalid),
      .r_ready(m_axi_rready)
  );

  string folder;
  int notes;
  longint cycle, offered;
  initial begin
    if (!$value$plusargs("TAPS=%s", folder)) folder = ".";
    notes = $fopen({folder, "/memory.notes"}, "w");
  end
  logic waits;
  always_ff @(posedge clk) begin
    cycle <= cycle + 1;
    waits <= m_axi_arvalid && !m_axi_arready;
    if (!waits) offered <= cycle;
    if (m_axi_arvalid && m_axi_arready) $fdisplay(notes, "a %0d %0d", waits ? offered : cycle, cycle);
    if (m_axi_rvalid && m_axi_rready) $fdisplay(notes, "r %0d %0d", cycle, m_axi_rlast);
  end
  final $fclose(notes);
  wire unused = WORDS != 0;
endmodule
