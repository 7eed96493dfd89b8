// Lines of text to packets of ids: the bytes up to a CR or LF are a sequence, whose last byte has tlast. Empty lines are
// nothing. A byte is held until the next one says whether it is the line's last. With CHARACTERS, a byte's id is its place
// in ALPHABET, and a byte that has none is left out.
module prompt #(
    parameter int CHARACTERS = 0,  // 0: an id is a byte
    parameter int IDS_BITS = CHARACTERS > 1 ? $clog2(CHARACTERS) : 8,
    parameter logic [8*(CHARACTERS+1)-1:0] ALPHABET = '0  // a byte for each id
) (
    input  logic                clk,
    input  logic                rst,
    input  logic [         7:0] s_axis_tdata,
    input  logic                s_axis_tvalid,
    output logic                s_axis_tready,
    output logic [IDS_BITS-1:0] m_axis_tdata,
    output logic                m_axis_tvalid,
    input  logic                m_axis_tready,
    output logic                m_axis_tlast,
    output logic                m_axis_tuser    // first of its sequence
);
  localparam logic [7:0] Return = 8'h0d;
  localparam logic [7:0] Feed = 8'h0a;

  logic held_q, first_q;
  logic known;
  logic [IDS_BITS-1:0] id, id_q;

  if (CHARACTERS == 0) begin : gen_bytes
    assign known = 1'b1;
    assign id = s_axis_tdata;
  end else begin : gen_characters
    logic [IDS_BITS:0] places[256];  // whether a byte is a character, and its id
    initial begin
      for (int i = 0; i < 256; i++) places[i] = '0;
      for (int i = 0; i < CHARACTERS; i++) places[ALPHABET[8*i+:8]] = {1'b1, IDS_BITS'(i)};
    end
    assign {known, id} = places[s_axis_tdata];
  end

  wire ends = s_axis_tdata == Return || s_axis_tdata == Feed;
  wire take = s_axis_tvalid && s_axis_tready && (ends || known);

  always_ff @(posedge clk) begin
    if (rst) begin
      held_q  <= 1'b0;
      first_q <= 1'b1;
    end else if (take) begin
      held_q <= !ends;
      if (held_q) first_q <= ends;
    end
    if (take) id_q <= id;
  end

  fifo #(
      .WIDTH(IDS_BITS + 2),
      .DEPTH(2)
  ) u_fifo (
      .clk,
      .rst,
      .s_data ({first_q, ends, id_q}),
      .s_valid(take && held_q),
      .s_ready(s_axis_tready),
      .m_data ({m_axis_tuser, m_axis_tlast, m_axis_tdata}),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
endmodule
