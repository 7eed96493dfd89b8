// The account of one input of a block with its output: what every accepted beat owes must leave, once, in order and in
// time.
//
// An accepted beat (WHOLE: the last beat of an accepted token) owes OWES output beats. No beat leaves that is not owed,
// and never are more than CAPACITY owed. The payload of one beat, chosen freely, is that of the first one that it owes.
// A sink that is ready gets what is owed by all inputs within PATIENCE cycles; an input is taken within PATIENCE cycles
// in which all inputs are offered and the sink is ready (PATIENCE 0: whenever they like).
module axis_account #(
    parameter int BITS     = 1,
    parameter int WHOLE    = 0,
    parameter int OWES     = 1,
    parameter int CAPACITY = 4,
    parameter int PATIENCE = 8
) (
    input  logic            clk,
    input  logic            rst,
    input  logic            choose,
    input  logic            offered,      // by all inputs
    input  logic            accept,
    input  logic            last,
    input  logic [BITS-1:0] payload_in,
    input  logic            due,          // by all inputs
    output logic            owing,
    input  logic            sink_ready,
    input  logic            leave,
    input  logic [BITS-1:0] payload_out,
    output logic            broken
);
  localparam int CountBits = $clog2(CAPACITY + OWES + 1);
  localparam int WaitBits = $clog2(PATIENCE + 2);

  logic [CountBits-1:0] owed_q, ahead_q, left;
  logic chosen_q, followed_q;
  logic [BITS-1:0] payload_q;
  logic [WaitBits-1:0] starved_q, refused_q;

  wire pays = accept && (WHOLE == 0 || last);
  assign owing = owed_q != '0;
  assign left  = owed_q - CountBits'(leave);

  wire nowhere = leave && !owing;
  wire lost = owed_q > CountBits'(CAPACITY);
  wire mixed = followed_q && leave && ahead_q == '0 && payload_out != payload_q;
  wire starved = PATIENCE > 0 && starved_q > WaitBits'(PATIENCE);
  wire refused = PATIENCE > 0 && refused_q > WaitBits'(PATIENCE);
  assign broken = nowhere || lost || mixed || starved || refused;

  always_ff @(posedge clk) begin
    if (rst) begin
      owed_q <= '0;
      chosen_q <= 1'b0;
      followed_q <= 1'b0;
      starved_q <= '0;
      refused_q <= '0;
    end else begin
      owed_q <= left + (pays ? CountBits'(OWES) : '0);
      if (pays && choose && !chosen_q) begin
        chosen_q <= 1'b1;
        followed_q <= 1'b1;
        ahead_q <= left;
        payload_q <= payload_in;
      end else if (followed_q && leave) begin
        ahead_q <= ahead_q - 1'b1;
        if (ahead_q == '0) followed_q <= 1'b0;
      end
      if (!starved) starved_q <= due && sink_ready && !leave ? starved_q + 1'b1 : '0;
      if (!refused) refused_q <= offered && sink_ready && !accept ? refused_q + 1'b1 : '0;
    end
  end
endmodule
