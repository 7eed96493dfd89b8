// What a run of the model can tell about itself: cycles from the first id taken to the last logits given, in how many of
// them the slowest Linear's multipliers worked, tokens, cycles in which either end of the pipeline waited, and the spikes
// of every LIF layer; and the cycles in which each Linear that is driven by events added one, a word of weights each.
module counters #(
    parameter int LAYERS  = 2,
    parameter int LANES   = 1,
    parameter int LINEARS = 1,
    parameter int BITS    = 48
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic                    source_valid,
    input  logic                    source_ready,
    input  logic                    sink_valid,
    input  logic                    sink_ready,
    input  logic                    sink_last,
    input  logic                    busy,
    input  logic [      LAYERS-1:0] spike_valid,
    input  logic [LAYERS*LANES-1:0] spikes,
    input  logic [     LINEARS-1:0] adding,
    output logic [        BITS-1:0] cycles,
    output logic [        BITS-1:0] tokens,
    output logic [        BITS-1:0] busy_cycles,
    output logic [        BITS-1:0] source_stalls,
    output logic [        BITS-1:0] sink_stalls,
    output logic [ LAYERS*BITS-1:0] spike_counts,
    output logic [LINEARS*BITS-1:0] event_counts
);
  logic [BITS-1:0] elapsed_q, busy_q;
  logic running_q;

  always_ff @(posedge clk) begin
    if (rst) begin
      elapsed_q     <= '0;
      busy_q        <= '0;
      running_q     <= 1'b0;
      cycles        <= '0;
      tokens        <= '0;
      busy_cycles   <= '0;
      source_stalls <= '0;
      sink_stalls   <= '0;
    end else begin
      if (source_valid && source_ready) running_q <= 1'b1;
      if (running_q || (source_valid && source_ready)) elapsed_q <= elapsed_q + 1'b1;
      if (busy) busy_q <= busy_q + 1'b1;
      if (sink_valid && sink_ready) cycles <= elapsed_q + 1'b1;
      if (sink_valid && sink_ready) busy_cycles <= busy_q + BITS'(busy);
      if (sink_valid && sink_ready && sink_last) tokens <= tokens + 1'b1;
      if (source_valid && !source_ready) source_stalls <= source_stalls + 1'b1;
      if (sink_valid && !sink_ready) sink_stalls <= sink_stalls + 1'b1;
    end
  end

  for (genvar n = 0; n < LAYERS; n++) begin : gen_layer
    logic [BITS-1:0] count_q;
    assign spike_counts[n*BITS+:BITS] = count_q;
    always_ff @(posedge clk) begin
      if (rst) count_q <= '0;
      else if (spike_valid[n]) count_q <= count_q + BITS'($countones(spikes[n*LANES+:LANES]));
    end
  end

  for (genvar n = 0; n < LINEARS; n++) begin : gen_linear
    logic [BITS-1:0] count_q;
    assign event_counts[n*BITS+:BITS] = count_q;
    always_ff @(posedge clk) begin
      if (rst) count_q <= '0;
      else if (adding[n]) count_q <= count_q + 1'b1;
    end
  end
endmodule
