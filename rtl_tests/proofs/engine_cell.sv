// engine and shared_linear: a member of 3 inputs and 4 outputs in two result words, alone, or behind a RIVAL that asks
// whenever it likes and goes first.
module engine_cell #(
    parameter int BITS        = 1,
    parameter int RIVAL       = 0,
    parameter     WEIGHT_FILE = "",
    parameter     TABLE_FILE  = ""
) (
    input  logic            clk,
    input  logic            rst,
    input  logic [BITS-1:0] s_axis_x_tdata,
    input  logic            s_axis_x_tvalid,
    output logic            s_axis_x_tready,
    input  logic            s_axis_x_tlast,
    input  logic            s_axis_x_tuser,
    output logic [BITS-1:0] m_axis_tdata,
    output logic            m_axis_tvalid,
    input  logic            m_axis_tready,
    output logic            m_axis_tlast,
    output logic            m_axis_tuser
);
  localparam int SumBits = 4;

  (* anyseq *) logic [1:0] rival;  // asks; for its token's first word
  logic request, first, x;
  logic [1:0] grant, selected, done, valid, beat;
  logic [SumBits-1:0] sum;

  engine #(
      .MEMBERS    (2),
      .PE         (2),
      .WORD       (2),
      .BEAT_BITS  (2),
      .COUNT_BITS (2),
      .STEPS      (12),
      .X_BITS     (BITS),
      .X_SIGNED   (0),
      .WEIGHT_BITS(2),
      .SUM_BITS   (SumBits),
      .WEIGHT_FILE(WEIGHT_FILE),
      .TABLE_FILE (TABLE_FILE)
  ) u_engine (
      .clk,
      .rst,
      .request({request, RIVAL != 0 && rival[0]}),
      .first  ({first, rival[1]}),
      .grant,
      .selected,
      .beat,
      .x      ({x, 1'b0}),
      .done,
      .valid,
      .sum,
      .busy   ()
  );

  shared_linear #(
      .INPUTS     (3),
      .OUTPUTS    (4),
      .WORD       (2),
      .X_BITS     (BITS),
      .X_FRAC     (0),
      .X_SIGNED   (0),
      .WEIGHT_FRAC(0),
      .OUT_BITS   (BITS),
      .OUT_FRAC   (0),
      .OUT_SIGNED (0),
      .BEAT_BITS  (2),
      .BUS_BITS   (BITS),
      .SUM_BITS   (SumBits)
  ) u_member (
      .clk,
      .rst,
      .s_axis_x_tdata,
      .s_axis_x_tvalid,
      .s_axis_x_tready,
      .s_axis_x_tlast,
      .s_axis_x_tuser,
      .m_axis_tdata,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tlast,
      .m_axis_tuser,
      .request,
      .first,
      .grant   (grant[1]),
      .selected(selected[1]),
      .beat,
      .x,
      .done    (done[1]),
      .valid   (valid[1]),
      .sum
  );
endmodule
