// The rules of one AXI-Stream port: valid holds until ready with its payload; a packet has BEATS beats, its last one
// marked; tuser stays within a packet.
module axis_packets #(
    parameter int BITS      = 1,
    parameter int USER_BITS = 1,
    parameter int BEATS     = 1
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic [     BITS-1:0] tdata,
    input  logic                 tvalid,
    input  logic                 tready,
    input  logic                 tlast,
    input  logic [USER_BITS-1:0] tuser,
    output logic                 broken
);
  localparam int BeatBits = $clog2(BEATS + 1);

  logic held_q;  // offered in the cycle before, and not taken
  logic [BITS+USER_BITS:0] payload_q;
  logic [BeatBits-1:0] beat_q;
  logic [USER_BITS-1:0] user_q;
  logic stable, length, user;

  assign stable = !held_q || (tvalid && payload_q == {tuser, tlast, tdata});
  assign length = !tvalid || tlast == (beat_q == BeatBits'(BEATS - 1));
  assign user   = !tvalid || beat_q == '0 || tuser == user_q;
  assign broken = !(stable && length && user);

  always_ff @(posedge clk) begin
    held_q <= !rst && tvalid && !tready;
    payload_q <= {tuser, tlast, tdata};
    if (rst) beat_q <= '0;
    else if (tvalid && tready) beat_q <= tlast ? '0 : beat_q + 1'b1;
    if (tvalid && beat_q == '0) user_q <= tuser;
  end
endmodule
