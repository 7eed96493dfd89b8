// A ULX3S: the design, and the chip at its pins.
module board #(
    parameter int DIVIDER = 25
) (
    input  logic       clk_25mhz,
    input  logic       ftdi_txd,
    output logic       ftdi_rxd,
    input  logic       btn_fire1,
    input  logic       damage,       // rises: a bit of the chip's contents changes
    output logic [3:0] led,
    output logic       awake,        // the chip was initialised
    output int         sdram_errors
);
  logic sdram_clk, sdram_cke, sdram_csn, sdram_wen, sdram_rasn, sdram_casn;
  logic [12:0] sdram_a;
  logic [1:0] sdram_ba, sdram_dqm;
  wire [15:0] sdram_d;
  ulx3s #(
      .DIVIDER(DIVIDER)
  ) u_ulx3s (
      .wifi_gpio0(),
      .*
  );
  sdram u_sdram (
      .clk (sdram_clk),
      .cke (sdram_cke),
      .cs_n(sdram_csn),
      .ras_n(sdram_rasn),
      .cas_n(sdram_casn),
      .we_n(sdram_wen),
      .ba  (sdram_ba),
      .a   (sdram_a),
      .dqm (sdram_dqm),
      .dq  (sdram_d)
  );
  // Instead of a load that takes a simulation hours.
  initial begin
    string image;
    if ($value$plusargs("IMAGE=%s", image)) $readmemh(image, u_sdram.words);
  end
  assign sdram_errors = u_sdram.errors;
  assign awake = u_sdram.ready;
  always @(posedge damage) u_sdram.words[5000] = ~u_sdram.words[5000];
endmodule
