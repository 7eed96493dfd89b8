// The index of a beat within its token: counts accepted beats modulo BEATS.
module beat_counter #(
    parameter int BEATS = 4,
    parameter int BITS  = BEATS > 1 ? $clog2(BEATS) : 1
) (
    input  logic            clk,
    input  logic            rst,
    input  logic            step,
    output logic [BITS-1:0] index,
    output logic            last
);
  assign last = index == BITS'(BEATS - 1);
  always_ff @(posedge clk) begin
    if (rst) index <= '0;
    else if (step) index <= last ? '0 : index + 1'b1;
  end
endmodule
