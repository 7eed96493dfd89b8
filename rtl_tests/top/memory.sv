// A memory behind an AXI4 read channel, for simulation: bursts in their order, the first beat of each LATENCY cycles after it
// was asked for, or up to JITTER more, and of the others as many percent a cycle later as GAPS says (plusargs). Its content is
// the file IMAGE.
module memory #(
    parameter int DATA_BITS = 64,
    parameter int WORDS     = 1024,
    parameter int BURSTS    = 64     // on their way
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic [         31:0] base,
    input  logic [         31:0] m_axi_araddr,
    input  logic [          7:0] m_axi_arlen,
    input  logic                 m_axi_arvalid,
    output logic                 m_axi_arready,
    output logic                 m_axi_rid,
    output logic [DATA_BITS-1:0] m_axi_rdata,
    output logic [          1:0] m_axi_rresp,
    output logic                 m_axi_rlast,
    output logic                 m_axi_rvalid,
    input  logic                 m_axi_rready
);
  localparam int Bytes = DATA_BITS / 8;
  localparam int IndexBits = $clog2(BURSTS);

  logic [DATA_BITS-1:0] words[WORDS];
  string path;
  int file, latency, jitter, gaps;
  initial begin
    if (!$value$plusargs("LATENCY=%d", latency)) latency = 20;
    if (!$value$plusargs("JITTER=%d", jitter)) jitter = 0;
    if (!$value$plusargs("GAPS=%d", gaps)) gaps = 0;
    if ($value$plusargs("IMAGE=%s", path)) begin
      file = $fopen(path, "rb");
      if ($fread(words, file) != WORDS * Bytes) $fatal(1, "the image is shorter than the memory");
      $fclose(file);
    end
  end

  logic [31:0] address[BURSTS];
  logic [7:0] length[BURSTS];
  logic [63:0] due[BURSTS];
  logic [63:0] cycle_q;
  logic [IndexBits-1:0] head_q, tail_q;
  logic [IndexBits:0] count_q;
  logic [7:0] beat_q;
  logic pause_q;
  logic [31:0] place;
  logic [DATA_BITS-1:0] word;

  assign m_axi_arready = count_q != (IndexBits + 1)'(BURSTS);
  wire ask = m_axi_arvalid && m_axi_arready;
  assign m_axi_rvalid = count_q != '0 && cycle_q >= due[head_q] && !pause_q;
  wire move = m_axi_rvalid && m_axi_rready;
  assign m_axi_rlast = beat_q == length[head_q];
  assign m_axi_rid = 1'b0;
  assign m_axi_rresp = 2'd0;
  assign place = (address[head_q] - base) / Bytes + 32'(beat_q);
  assign word = words[place];
  for (genvar b = 0; b < Bytes; b++) begin : gen_byte  // a file's first byte is read into a word's highest
    assign m_axi_rdata[b*8+:8] = word[(Bytes-1-b)*8+:8];
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      cycle_q <= '0;
      head_q  <= '0;
      tail_q  <= '0;
      count_q <= '0;
      beat_q  <= '0;
      pause_q <= 1'b0;
    end else begin
      cycle_q <= cycle_q + 1;
      if (ask) tail_q <= tail_q + 1'b1;
      if (move) beat_q <= m_axi_rlast ? '0 : beat_q + 1'b1;
      if (move && m_axi_rlast) head_q <= head_q + 1'b1;
      count_q <= count_q + (IndexBits + 1)'(ask) - (IndexBits + 1)'(move && m_axi_rlast);
      pause_q <= gaps != 0 && (pause_q || move) && $urandom_range(99) < gaps;
    end
  end
  always_ff @(posedge clk) begin
    if (ask) begin
      address[tail_q] <= m_axi_araddr;
      length[tail_q]  <= m_axi_arlen;
      due[tail_q]     <= cycle_q + 64'(latency) + (jitter == 0 ? '0 : 64'($urandom_range(jitter)));
    end
  end
endmodule
