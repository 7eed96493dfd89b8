// Packets of bytes to frames of a serial line: SLIP (RFC 1055), with the CRC-32 of the bytes behind them. Every frame begins with
// an END, too, which ends whatever the line brought before.
module frame_tx (
    input  logic       clk,
    input  logic       rst,
    input  logic [7:0] s_data,
    input  logic       s_valid,
    output logic       s_ready,
    input  logic       s_last,
    output logic [7:0] m_data,
    output logic       m_valid,
    input  logic       m_ready
);
  localparam logic [7:0] End = 8'hc0, Escape = 8'hdb, EscapedEnd = 8'hdc, EscapedEscape = 8'hdd;
  typedef enum logic [1:0] {
    Open,
    Bytes,
    Check,
    Close
  } state_e;

  state_e state_q;
  logic escaped_q;  // an ESC has been sent, and what it stands for has not
  logic [1:0] place_q;
  logic [31:0] value;
  logic [7:0] plain;
  logic unused_right;

  assign plain = state_q == Check ? value[8*place_q+:8] : s_data;
  wire special = plain == End || plain == Escape;
  wire framed = state_q == Bytes || state_q == Check;
  wire move = m_valid && m_ready;
  wire moved = move && framed && (escaped_q || !special);  // the byte itself
  assign m_valid = state_q == Check || state_q == Close || s_valid;
  always_comb begin
    if (!framed) m_data = End;
    else if (!special) m_data = plain;
    else if (!escaped_q) m_data = Escape;
    else m_data = plain == End ? EscapedEnd : EscapedEscape;
  end
  assign s_ready = moved && state_q == Bytes;

  crc32 u_crc (
      .clk,
      .rst  (rst || state_q == Open),
      .data (s_data),
      .valid(s_ready),
      .value,
      .right(unused_right)
  );
  always_ff @(posedge clk) begin
    if (rst) begin
      state_q   <= Open;
      escaped_q <= 1'b0;
      place_q   <= '0;
    end else if (move) begin
      escaped_q <= framed && special && !escaped_q;
      case (state_q)
        Open: state_q <= Bytes;
        Bytes: if (moved && s_last) state_q <= Check;
        Check:
        if (moved) begin
          place_q <= place_q + 1'b1;
          if (place_q == '1) state_q <= Close;
        end
        default: state_q <= Open;
      endcase
    end
  end
endmodule
