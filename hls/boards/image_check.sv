// Whether the image in a memory is the one that the device was made for: the SHA-256 of its BYTES - HEADER bytes behind the
// header, read burst by burst, against DIGEST. Begins with `start`; `good` or `bad` stays until the next, and neither after a `stop`.
module image_check #(
    parameter int           BYTES  = 8192,
    parameter int           HEADER = 4096,
    parameter logic [255:0] DIGEST = '0
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        start,
    input  logic        stop,           // what was asked for does not come any more
    output logic        busy,
    output logic        good,
    output logic        bad,
    output logic [31:0] m_axi_araddr,
    output logic [ 7:0] m_axi_arlen,
    output logic        m_axi_arvalid,
    input  logic        m_axi_arready,
    input  logic [63:0] m_axi_rdata,
    input  logic        m_axi_rvalid,
    output logic        m_axi_rready
);
  localparam int Burst = 16;  // beats of 8 bytes: HEADER and BYTES are multiples of them
  localparam int Beats = (BYTES - HEADER) / 8;
  localparam int LeftBits = $clog2(Beats + 1);

  logic [LeftBits-1:0] ask_q, left_q;  // beats to ask for, and to come
  logic [255:0] digest;
  logic ready, done;

  assign m_axi_araddr  = 32'(BYTES) - (32'(ask_q) << 3);
  assign m_axi_arlen   = 8'(Burst - 1);
  assign m_axi_arvalid = busy && ask_q != '0;
  assign m_axi_rready  = busy && ready;

  sha256 u_sha256 (
      .clk,
      .rst(rst || !busy),
      .s_data(m_axi_rdata),
      .s_valid(busy && m_axi_rvalid),
      .s_ready(ready),
      .s_last(left_q == LeftBits'(1)),
      .digest,
      .done
  );

  always_ff @(posedge clk) begin
    if (rst) begin
      {busy, good, bad} <= '0;
    end else if (stop) begin
      busy <= 1'b0;
    end else if (start && !busy) begin
      {busy, good, bad} <= 3'b100;
    end else if (done && busy) begin
      {busy, good, bad} <= {1'b0, digest == DIGEST, digest != DIGEST};
    end
    if (!busy) ask_q <= LeftBits'(Beats);
    else if (m_axi_arvalid && m_axi_arready) ask_q <= ask_q - LeftBits'(Burst);
    if (!busy) left_q <= LeftBits'(Beats);
    else if (m_axi_rvalid && m_axi_rready) left_q <= left_q - 1'b1;
  end
endmodule
