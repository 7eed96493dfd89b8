// The frame of every block: beats are accepted against credits, and the block's datapath runs freely behind it.
//
// A beat accepted in cycle t has its result on `result` in cycle t+LATENCY, where it enters a FIFO of CREDITS places.
// Nothing in flight ever waits, so the datapath needs no enables. Beats of one channel are at least LOOP cycles apart
// where BEATS < LOOP (the interlock of a block with state).
module stream_pipe #(
    parameter int WIDTH     = 8,
    parameter int USER_BITS = 1,
    parameter int LATENCY   = 1,
    parameter int CREDITS   = 3,
    parameter int BEATS     = 1,
    parameter int LOOP      = 0
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic                 valid,
    output logic                 ready,
    input  logic                 last,
    input  logic [USER_BITS-1:0] user,
    input  logic [    WIDTH-1:0] result,
    output logic [    WIDTH-1:0] m_axis_tdata,
    output logic                 m_axis_tvalid,
    input  logic                 m_axis_tready,
    output logic                 m_axis_tlast,
    output logic [USER_BITS-1:0] m_axis_tuser
);
  localparam int CreditBits = $clog2(CREDITS + 1);

  logic [LATENCY:1] valid_q, last_q;  // valid_q[k]: a beat was accepted k cycles ago
  logic [LATENCY*USER_BITS-1:0] user_q;
  logic [CreditBits-1:0] reserved_q;

  wire accept = valid && ready;
  wire leave = m_axis_tvalid && m_axis_tready;

  always_ff @(posedge clk) begin
    valid_q[1] <= rst ? 1'b0 : accept;
    last_q[1] <= last;
    user_q[0+:USER_BITS] <= user;
  end
  for (genvar k = 2; k <= LATENCY; k++) begin : gen_stage
    always_ff @(posedge clk) begin
      valid_q[k] <= rst ? 1'b0 : valid_q[k-1];
      last_q[k] <= last_q[k-1];
      user_q[(k-1)*USER_BITS+:USER_BITS] <= user_q[(k-2)*USER_BITS+:USER_BITS];
    end
  end

  always_ff @(posedge clk) begin
    if (rst) reserved_q <= '0;
    else reserved_q <= reserved_q + CreditBits'(accept) - CreditBits'(leave);
  end

  wire credit = reserved_q != CreditBits'(CREDITS);

  if (LOOP > 1 && BEATS < LOOP) begin : gen_interlock
    localparam int FlightBits = $clog2(LOOP + 1);
    logic [FlightBits-1:0] flight_q;  // beats accepted in the last LOOP-1 cycles
    always_ff @(posedge clk) begin
      if (rst) flight_q <= '0;
      else flight_q <= flight_q + FlightBits'(accept) - FlightBits'(valid_q[LOOP-1]);
    end
    assign ready = credit && flight_q < FlightBits'(BEATS);
  end else begin : gen_free
    assign ready = credit;
  end

  fifo #(
      .WIDTH(WIDTH + 1 + USER_BITS),
      .DEPTH(CREDITS)
  ) u_fifo (
      .clk,
      .rst,
      .s_data ({user_q[LATENCY*USER_BITS-1-:USER_BITS], last_q[LATENCY], result}),
      .s_valid(valid_q[LATENCY]),
      .s_ready(),
      .m_data ({m_axis_tuser, m_axis_tlast, m_axis_tdata}),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
endmodule
