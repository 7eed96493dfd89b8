// LiteDRAM with its native port (`native`; controller.py writes it) as what its AXI port would be: behind the port that a ULX3S has.
module controller (
    input  logic        sys_clk,
    input  logic        sys_rst,
    input  logic [31:0] ar_payload_addr,
    input  logic [ 7:0] ar_payload_len,
    input  logic [ 2:0] ar_payload_size,
    input  logic [ 1:0] ar_payload_burst,
    input  logic        ar_valid,
    output logic        ar_ready,
    output logic [63:0] r_payload_data,
    output logic [ 1:0] r_payload_resp,
    output logic        r_param_id,
    output logic        r_last,
    output logic        r_valid,
    input  logic        r_ready
);
  logic cmd_valid, cmd_ready, cmd_we, rdata_valid;
  logic [23:0] cmd_addr;
  logic [15:0] rdata;
  native u_native (
      .sys_clk,
      .sys_rst,
      .cmd_valid,
      .cmd_ready,
      .cmd_we,
      .cmd_addr,
      .rdata_valid,
      .rdata
  );
  sdram_port u_port (
      .clk(sys_clk),
      .rst(sys_rst),
      .s_axi_araddr(ar_payload_addr),
      .s_axi_arlen(ar_payload_len),
      .s_axi_arvalid(ar_valid),
      .s_axi_arready(ar_ready),
      .s_axi_rdata(r_payload_data),
      .s_axi_rlast(r_last),
      .s_axi_rvalid(r_valid),
      .s_axi_rready(r_ready),
      .write_address('0),
      .write_data('0),
      .write_valid(1'b0),
      .write_ready(),
      .cmd_valid,
      .cmd_ready,
      .cmd_we,
      .cmd_addr,
      .wdata_ready(1'b0),
      .wdata(),
      .rdata_valid,
      .rdata
  );
  assign r_payload_resp = '0;
  assign r_param_id = 1'b0;
  wire unused = |{ar_payload_size, ar_payload_burst};
endmodule
