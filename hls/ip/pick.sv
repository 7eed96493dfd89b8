// Greedy sampling: of each packet of logits, LANES per beat, the index of the largest; of equals the lowest, as NumPy's
// argmax; the last beat may have lanes behind the vocabulary, which never win. What is on tuser with a packet's last beat
// goes along with its result.
//
// Node n of a binary tree holds the larger of nodes 2n+1 and 2n+2, one register per level; the leaves are the lanes. The
// root's winner is compared with the best of the beats before it. Packets are accepted against credits, as in stream_pipe.
module pick #(
    parameter int VOCABULARY = 256,
    parameter int LANES      = 1,
    parameter int BITS       = 20,
    parameter int USER_BITS  = 1,
    parameter int ID_BITS    = VOCABULARY > 1 ? $clog2(VOCABULARY) : 1
) (
    input  logic                  clk,
    input  logic                  rst,
    input  logic [LANES*BITS-1:0] s_axis_tdata,
    input  logic                  s_axis_tvalid,
    output logic                  s_axis_tready,
    input  logic                  s_axis_tlast,
    input  logic [ USER_BITS-1:0] s_axis_tuser,
    output logic [   ID_BITS-1:0] m_axis_tdata,
    output logic                  m_axis_tvalid,
    input  logic                  m_axis_tready,
    output logic [ USER_BITS-1:0] m_axis_tuser
);
  localparam int Levels = $clog2(LANES);
  localparam int Leaves = 1 << Levels;
  localparam int LaneBits = Levels > 0 ? Levels : 1;
  localparam int Credits = Levels + 3;
  localparam int CreditBits = $clog2(Credits + 1);
  localparam logic [BITS-1:0] Lowest = {1'b1, {(BITS - 1) {1'b0}}};

  logic [CreditBits-1:0] reserved_q;
  assign s_axis_tready = reserved_q != CreditBits'(Credits);
  wire accept = s_axis_tvalid && s_axis_tready;
  wire leave = m_axis_tvalid && m_axis_tready;
  always_ff @(posedge clk) begin
    if (rst) reserved_q <= '0;
    else reserved_q <= reserved_q + CreditBits'(accept && s_axis_tlast) - CreditBits'(leave);
  end

  // The tree, node after node in one vector.
  logic [(2*Leaves-1)*BITS-1:0] values;
  logic [(2*Leaves-1)*LaneBits-1:0] lanes;
  for (genvar n = 0; n < Leaves - 1; n++) begin : gen_node
    wire right = $signed(values[(2*n+2)*BITS+:BITS]) > $signed(values[(2*n+1)*BITS+:BITS]);
    always_ff @(posedge clk) begin
      values[n*BITS+:BITS]        <= right ? values[(2*n+2)*BITS+:BITS] : values[(2*n+1)*BITS+:BITS];
      lanes[n*LaneBits+:LaneBits] <= right ? lanes[(2*n+2)*LaneBits+:LaneBits] : lanes[(2*n+1)*LaneBits+:LaneBits];
    end
  end
  for (genvar l = 0; l < Leaves; l++) begin : gen_leaf
    assign lanes[(Leaves-1+l)*LaneBits+:LaneBits] = LaneBits'(l);
    if (l < LANES) begin : gen_lane
      // In the last beat of a packet of VOCABULARY logits.
      wire absent = VOCABULARY % LANES != 0 && l >= VOCABULARY % LANES && s_axis_tlast;
      assign values[(Leaves-1+l)*BITS+:BITS] = absent ? Lowest : s_axis_tdata[l*BITS+:BITS];
    end else begin : gen_none
      assign values[(Leaves-1+l)*BITS+:BITS] = Lowest;  // never above a lane that exists
    end
  end
  wire signed [BITS-1:0] winner = values[BITS-1:0];

  // What goes along with it: index k is of the beat that was accepted k cycles ago.
  logic [Levels:0] valids, lasts;
  logic [(Levels+1)*USER_BITS-1:0] users;
  assign valids[0] = accept;
  assign lasts[0] = s_axis_tlast;
  assign users[USER_BITS-1:0] = s_axis_tuser;
  for (genvar k = 1; k <= Levels; k++) begin : gen_stage
    always_ff @(posedge clk) begin
      valids[k]                     <= rst ? 1'b0 : valids[k-1];
      lasts[k]                      <= lasts[k-1];
      users[k*USER_BITS+:USER_BITS] <= users[(k-1)*USER_BITS+:USER_BITS];
    end
  end

  // The best of the packet so far.
  logic signed [BITS-1:0] best_q;
  logic [ID_BITS-1:0] base_q, id_q;
  logic started_q, done_q;
  logic [USER_BITS-1:0] user_q;
  wire valid = valids[Levels];
  wire last = lasts[Levels];
  wire better = !started_q || winner > best_q;

  always_ff @(posedge clk) begin
    done_q <= rst ? 1'b0 : valid && last;
    user_q <= users[Levels*USER_BITS+:USER_BITS];
    if (rst) begin
      started_q <= 1'b0;
      base_q    <= '0;
    end else if (valid) begin
      started_q <= !last;
      base_q    <= last ? '0 : base_q + ID_BITS'(LANES);
    end
    if (valid && better) begin
      best_q <= winner;
      id_q   <= LANES > 1 ? base_q + ID_BITS'(lanes[LaneBits-1:0]) : base_q;
    end
  end

  fifo #(
      .WIDTH(USER_BITS + ID_BITS),
      .DEPTH(Credits)
  ) u_fifo (
      .clk,
      .rst,
      .s_data ({user_q, id_q}),
      .s_valid(done_q),
      .s_ready(),
      .m_data ({m_axis_tuser, m_axis_tdata}),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
endmodule
