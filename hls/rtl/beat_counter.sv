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
  // `last` is a register: what the last beat sets off begins with the cycle.
  always_ff @(posedge clk) begin
    if (rst) begin
      index <= '0;
      last  <= BEATS == 1;
    end else if (step) begin
      index <= last ? '0 : index + 1'b1;
      last  <= BEATS == 1 || (!last && int'(index) == BEATS - 2);
    end
  end
endmodule
