// y = x of CYCLES cycles ago, where x changes only after `start` and BEATS - 1 cycles or more: one register where that is
// long enough, and a chain where it is not.
module hold #(
    parameter int WIDTH  = 8,
    parameter int CYCLES = 4,
    parameter int BEATS  = 8
) (
    input  logic             clk,
    input  logic             start,
    input  logic [WIDTH-1:0] x,
    output logic [WIDTH-1:0] y
);
  if (BEATS > CYCLES - 1) begin : gen_register
    logic now;
    delay #(
        .WIDTH (1),
        .CYCLES(CYCLES - 1)
    ) u_now (
        .clk,
        .x(start),
        .y(now)
    );
    always_ff @(posedge clk) if (now) y <= x;
  end else begin : gen_chain
    logic unused_start;
    assign unused_start = start;
    delay #(
        .WIDTH (WIDTH),
        .CYCLES(CYCLES)
    ) u_chain (
        .clk,
        .x,
        .y
    );
  end
endmodule
