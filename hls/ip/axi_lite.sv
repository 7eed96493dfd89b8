// AXI4-Lite to one register access at a time: `write` and `read` are pulses, and what was read stands on `read_data` in
// the cycle after `read`. Addresses are of 32-bit words. Every access is answered OKAY.
module axi_lite #(
    parameter int ADDRESS_BITS = 12
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic [ADDRESS_BITS-1:0] s_axi_awaddr,
    input  logic [             2:0] s_axi_awprot,
    input  logic                    s_axi_awvalid,
    output logic                    s_axi_awready,
    input  logic [            31:0] s_axi_wdata,
    input  logic [             3:0] s_axi_wstrb,
    input  logic                    s_axi_wvalid,
    output logic                    s_axi_wready,
    output logic [             1:0] s_axi_bresp,
    output logic                    s_axi_bvalid,
    input  logic                    s_axi_bready,
    input  logic [ADDRESS_BITS-1:0] s_axi_araddr,
    input  logic [             2:0] s_axi_arprot,
    input  logic                    s_axi_arvalid,
    output logic                    s_axi_arready,
    output logic [            31:0] s_axi_rdata,
    output logic [             1:0] s_axi_rresp,
    output logic                    s_axi_rvalid,
    input  logic                    s_axi_rready,
    output logic                    write,
    output logic [ADDRESS_BITS-3:0] write_word,
    output logic [            31:0] write_data,
    output logic [            31:0] write_mask,
    output logic                    read,
    output logic [ADDRESS_BITS-3:0] read_word,
    input  logic [            31:0] read_data
);
  logic address_held_q, data_held_q, read_q;

  logic [9:0] unused;
  assign unused        = {s_axi_awprot, s_axi_arprot, s_axi_awaddr[1:0], s_axi_araddr[1:0]};

  // Address and data of a write come in either order; the access happens when both are held.
  assign s_axi_awready = !address_held_q && !s_axi_bvalid;
  assign s_axi_wready  = !data_held_q && !s_axi_bvalid;
  assign s_axi_bresp   = 2'b00;
  assign write         = address_held_q && data_held_q;

  always_ff @(posedge clk) begin
    if (s_axi_awvalid && s_axi_awready) write_word <= s_axi_awaddr[ADDRESS_BITS-1:2];
    if (s_axi_wvalid && s_axi_wready) begin
      write_data <= s_axi_wdata;
      write_mask <= {{8{s_axi_wstrb[3]}}, {8{s_axi_wstrb[2]}}, {8{s_axi_wstrb[1]}}, {8{s_axi_wstrb[0]}}};
    end
    if (rst || write) begin
      address_held_q <= 1'b0;
      data_held_q    <= 1'b0;
    end else begin
      if (s_axi_awvalid && s_axi_awready) address_held_q <= 1'b1;
      if (s_axi_wvalid && s_axi_wready) data_held_q <= 1'b1;
    end
    if (rst) s_axi_bvalid <= 1'b0;
    else s_axi_bvalid <= write || (s_axi_bvalid && !s_axi_bready);
  end

  // A read: the address is held, `read`, the word is there, it is offered.
  assign s_axi_arready = !read && !read_q && !s_axi_rvalid;
  assign s_axi_rresp   = 2'b00;

  always_ff @(posedge clk) begin
    if (s_axi_arvalid && s_axi_arready) read_word <= s_axi_araddr[ADDRESS_BITS-1:2];
    if (read_q) s_axi_rdata <= read_data;
    read   <= !rst && s_axi_arvalid && s_axi_arready;
    read_q <= !rst && read;
    if (rst) s_axi_rvalid <= 1'b0;
    else s_axi_rvalid <= read_q || (s_axi_rvalid && !s_axi_rready);
  end
endmodule
