// Two AXI4 readers, one port: reader 1 has it while it is `chosen`, from when the bursts of reader 0 have come; and the other way
// round.
module read_switch (
    input  logic        clk,
    input  logic        rst,
    input  logic        chosen,
    input  logic [63:0] s_axi_araddr,   // of reader 1, and of reader 0
    input  logic [15:0] s_axi_arlen,
    input  logic [ 1:0] s_axi_arvalid,
    output logic [ 1:0] s_axi_arready,
    output logic [ 1:0] s_axi_rvalid,
    input  logic [ 1:0] s_axi_rready,
    output logic [31:0] m_axi_araddr,
    output logic [ 7:0] m_axi_arlen,
    output logic        m_axi_arvalid,
    input  logic        m_axi_arready,
    input  logic        m_axi_rlast,
    input  logic        m_axi_rvalid,
    output logic        m_axi_rready
);
  logic [7:0] flight_q;
  logic now_q;  // who has it
  wire open = now_q == chosen && flight_q != '1;
  assign m_axi_araddr  = s_axi_araddr[32*now_q+:32];
  assign m_axi_arlen   = s_axi_arlen[8*now_q+:8];
  assign m_axi_arvalid = open && s_axi_arvalid[now_q];
  assign m_axi_rready  = s_axi_rready[now_q];
  always_comb begin
    s_axi_arready = '0;
    s_axi_rvalid = '0;
    s_axi_arready[now_q] = open && m_axi_arready;
    s_axi_rvalid[now_q] = m_axi_rvalid;
  end
  wire asked = m_axi_arvalid && m_axi_arready;
  wire ended = m_axi_rvalid && m_axi_rready && m_axi_rlast;
  always_ff @(posedge clk) begin
    if (rst) begin
      flight_q <= '0;
      now_q    <= 1'b0;
    end else begin
      flight_q <= flight_q + 8'(asked) - 8'(ended);
      if (flight_q == '0) now_q <= chosen;
    end
  end
endmodule
