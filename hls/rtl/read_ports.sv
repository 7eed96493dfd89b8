// Two readers of one read master: runs are taken in turn, reader 0 before reader 1, and their beats go where they belong.
// A reader asks only for what it can take, so none waits for the other.
module read_ports #(
    parameter int BEAT_BITS   = 20,
    parameter int LENGTH_BITS = 9,
    parameter int RUNS        = 32   // on their way
) (
    input  logic                     clk,
    input  logic                     rst,
    input  logic [  2*BEAT_BITS-1:0] first,
    input  logic [2*LENGTH_BITS-1:0] beats,
    input  logic [              1:0] asks,
    output logic [              1:0] taken,
    output logic [              1:0] valid,
    input  logic [              1:0] ready,
    output logic [    BEAT_BITS-1:0] run_first,
    output logic [  LENGTH_BITS-1:0] run_beats,
    output logic                     run_valid,
    input  logic                     run_ready,
    input  logic                     data_valid,
    output logic                     data_ready
);
  logic room, due_reader, due_valid, last;
  logic [LENGTH_BITS-1:0] due_beats, beat_q;
  wire reader = !asks[0];

  assign run_first = reader ? first[BEAT_BITS+:BEAT_BITS] : first[0+:BEAT_BITS];
  assign run_beats = reader ? beats[LENGTH_BITS+:LENGTH_BITS] : beats[0+:LENGTH_BITS];
  assign run_valid = asks != 2'd0 && room;
  wire take = run_valid && run_ready;
  assign taken = {take && reader, take && !reader};

  fifo #(
      .WIDTH(LENGTH_BITS + 1),
      .DEPTH(RUNS)
  ) u_due (
      .clk,
      .rst,
      .s_data ({reader, run_beats}),
      .s_valid(take),
      .s_ready(room),
      .m_data ({due_reader, due_beats}),
      .m_valid(due_valid),
      .m_ready(data_valid && data_ready && last)
  );
  assign last = beat_q == due_beats - 1'b1;
  assign valid = {data_valid && due_valid && due_reader, data_valid && due_valid && !due_reader};
  assign data_ready = due_valid && (due_reader ? ready[1] : ready[0]);
  always_ff @(posedge clk) begin
    if (rst) beat_q <= '0;
    else if (data_valid && data_ready) beat_q <= last ? '0 : beat_q + 1'b1;
  end
endmodule
