// The init sequence of an SDRAM, which LiteDRAM describes and leaves to a processor: command by command, each with the
// cycles behind it, until `done`. An entry of STEPS is {wait, address, bank, ras_n, cas_n, we_n}; the first one comes last.
module sdram_init #(
    parameter int COUNT = 1,
    parameter int WAIT_BITS = 16,
    parameter int ADDRESS_BITS = 13,
    parameter int BANK_BITS = 2,
    parameter logic [COUNT*(WAIT_BITS+ADDRESS_BITS+BANK_BITS+3)-1:0] STEPS = '0
) (
    input  logic                    clk,
    input  logic                    rst,
    output logic                    done,
    output logic [ADDRESS_BITS-1:0] address,
    output logic [   BANK_BITS-1:0] bank,
    output logic                    ras_n,
    output logic                    cas_n,
    output logic                    we_n,
    output logic                    cs_n,
    output logic                    cke
);
  localparam int StepBits = WAIT_BITS + ADDRESS_BITS + BANK_BITS + 3;
  localparam int CountBits = $clog2(COUNT + 1);

  logic [CountBits-1:0] step_q;
  logic [WAIT_BITS-1:0] wait_q, waits;
  logic [COUNT*StepBits-1:0] steps_q;

  assign {waits, address, bank, ras_n, cas_n, we_n} = steps_q[StepBits-1:0];
  wire issue = !rst && !done && wait_q == '0;
  assign cs_n = !issue;
  assign cke  = !rst;
  assign done = step_q == CountBits'(COUNT) && wait_q == '0;

  always_ff @(posedge clk) begin
    if (rst) begin
      step_q  <= '0;
      wait_q  <= '0;
      steps_q <= STEPS;
    end else if (wait_q != '0) begin
      wait_q <= wait_q - 1'b1;
    end else if (!done) begin
      wait_q  <= waits;
      step_q  <= step_q + 1'b1;
      steps_q <= steps_q >> StepBits;
    end
  end
endmodule
