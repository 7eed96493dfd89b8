// A PLL of an ECP5, for simulation: from CLKI to CLKOP, CLKFB_DIV / CLKI_DIV times as fast and in phase, and to CLKOS, whose
// edges are later by the difference of the phases, in cycles of the oscillator (Lattice FPGA-TN-02200).
/* verilator lint_off UNUSEDPARAM */
/* verilator lint_off UNUSEDSIGNAL */
module EHXPLLL #(
    parameter PLLRST_ENA = "DISABLED",
    parameter INTFB_WAKE = "DISABLED",
    parameter STDBY_ENABLE = "DISABLED",
    parameter DPHASE_SOURCE = "DISABLED",
    parameter OUTDIVIDER_MUXA = "DIVA",
    parameter OUTDIVIDER_MUXB = "DIVB",
    parameter OUTDIVIDER_MUXC = "DIVC",
    parameter OUTDIVIDER_MUXD = "DIVD",
    parameter FEEDBK_PATH = "CLKOP",
    parameter int CLKI_DIV = 1,
    parameter int CLKFB_DIV = 1,
    parameter CLKOP_ENABLE = "ENABLED",
    parameter int CLKOP_DIV = 8,
    parameter int CLKOP_CPHASE = 0,
    parameter int CLKOP_FPHASE = 0,
    parameter CLKOS_ENABLE = "DISABLED",
    parameter int CLKOS_DIV = 8,
    parameter int CLKOS_CPHASE = 0,
    parameter int CLKOS_FPHASE = 0
) (
    input  logic CLKI,
    input  logic CLKFB,
    input  logic RST,
    input  logic STDBY,
    input  logic PHASESEL0,
    input  logic PHASESEL1,
    input  logic PHASEDIR,
    input  logic PHASESTEP,
    input  logic PHASELOADREG,
    input  logic PLLWAKESYNC,
    input  logic ENCLKOP,
    output logic CLKOP,
    output logic CLKOS,
    output logic LOCK
);
  realtime earlier, period, late;
  int edges = 0;
  initial {CLKOP, CLKOS, LOCK} = '0;
  always @(posedge CLKI) begin
    period = ($realtime - earlier) * CLKI_DIV / CLKFB_DIV;
    late = period * (CLKOS_CPHASE - CLKOP_CPHASE) / CLKOP_DIV;
    earlier = $realtime;
    edges = edges + 1;
    if (edges > 4) begin
      LOCK <= 1'b1;
      for (int n = 0; n < CLKFB_DIV; n++) begin
        CLKOP = 1'b1;
        #(late) CLKOS = 1'b1;
        #(period / 2 - late) CLKOP = 1'b0;
        #(late) CLKOS = 1'b0;
        if (n < CLKFB_DIV - 1) #(period / 2 - late);
      end
    end
  end
endmodule
