// Whether a port pauses, cycle by cycle from reset on: the 0s and 1s of a file, over and over; an empty one says never.
module pauses #(
    parameter NAME = "source"
) (
    input  logic clk,
    input  logic rst,
    output logic paused
);
  string folder;
  int file, character;
  logic pattern[$];
  int unsigned cycle, next_cycle, period;
  initial begin
    if (!$value$plusargs("TAPS=%s", folder)) folder = ".";
    file = $fopen({folder, "/", NAME, ".pauses"}, "r");
    character = $fgetc(file);
    while (character == "0" || character == "1") begin
      pattern.push_back(character == "1");
      character = $fgetc(file);
    end
    $fclose(file);
    if (pattern.size() == 0) pattern.push_back(1'b0);
    period = pattern.size();
  end
  assign next_cycle = rst || cycle + 1 == period ? 0 : cycle + 1;
  always_ff @(posedge clk) begin
    cycle  <= next_cycle;
    paused <= pattern[next_cycle];
  end
endmodule
