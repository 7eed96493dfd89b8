// Copies its stream to OUTPUTS readers. A beat is accepted when every reader's FIFO has a place, so no reader sees
// another's tready.
module stream_fork #(
    parameter int WIDTH    = 8,
    parameter int OUTPUTS  = 2,
    parameter int CONTEXTS = 1
) (
    input  logic                                    clk,
    input  logic                                    rst,
    input  logic [                       WIDTH-1:0] s_axis_x_tdata,
    input  logic                                    s_axis_x_tvalid,
    output logic                                    s_axis_x_tready,
    input  logic                                    s_axis_x_tlast,
    input  logic [              $clog2(CONTEXTS):0] s_axis_x_tuser,
    output logic [               OUTPUTS*WIDTH-1:0] m_axis_tdata,
    output logic [                     OUTPUTS-1:0] m_axis_tvalid,
    input  logic [                     OUTPUTS-1:0] m_axis_tready,
    output logic [                     OUTPUTS-1:0] m_axis_tlast,
    output logic [OUTPUTS*($clog2(CONTEXTS)+1)-1:0] m_axis_tuser
);
  localparam int UserBits = 1 + $clog2(CONTEXTS);  // the context, and the first token's mark
  logic [OUTPUTS-1:0] place;
  assign s_axis_x_tready = &place;

  for (genvar o = 0; o < OUTPUTS; o++) begin : gen_output
    fifo #(
        .WIDTH(WIDTH + 1 + UserBits),
        .DEPTH(2)
    ) u_fifo (
        .clk,
        .rst,
        .s_data ({s_axis_x_tuser, s_axis_x_tlast, s_axis_x_tdata}),
        .s_valid(s_axis_x_tvalid && s_axis_x_tready),
        .s_ready(place[o]),
        .m_data ({m_axis_tuser[o*UserBits+:UserBits], m_axis_tlast[o], m_axis_tdata[o*WIDTH+:WIDTH]}),
        .m_valid(m_axis_tvalid[o]),
        .m_ready(m_axis_tready[o])
    );
  end
endmodule
