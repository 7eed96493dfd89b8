// The register block of the model's IP, over AXI4-Lite. The map is hls/driver/registers.py, which a test holds to this
// file and to docs/registers.md.
module registers #(
    parameter int VERSION       = 1,
    parameter int VOCABULARY    = 256,
    parameter int CLASSES       = 0,
    parameter int LONGEST       = 0,
    parameter int CHANNELS      = 64,
    parameter int LAYERS        = 2,
    parameter int LANES         = 1,
    parameter int CONTEXTS      = 1,
    parameter int LOGIT_BITS    = 20,
    parameter int LOGIT_FRAC    = 8,
    parameter int SLOT_BITS     = 32,
    parameter int BEAT_BYTES    = 4,
    parameter int LIFS          = 4,        // counters of spikes
    parameter int SPIKING       = LIFS,     // that count: one counter stays 0 where there is no LIF
    parameter int LINEARS       = 1,        // counters of reads, as those of spikes
    parameter int DRIVEN        = LINEARS,
    parameter int MEMORY_BYTES  = 0,        // of the image of weights; 0: they are on the chip
    parameter int MEMORY_DIGEST = 0,
    parameter int COUNTER_BITS  = 48,
    parameter int ADDRESS_BITS  = 12
) (
    input  logic                            clk,
    input  logic                            rst,
    input  logic [        ADDRESS_BITS-1:0] s_axi_awaddr,
    input  logic [                     2:0] s_axi_awprot,
    input  logic                            s_axi_awvalid,
    output logic                            s_axi_awready,
    input  logic [                    31:0] s_axi_wdata,
    input  logic [                     3:0] s_axi_wstrb,
    input  logic                            s_axi_wvalid,
    output logic                            s_axi_wready,
    output logic [                     1:0] s_axi_bresp,
    output logic                            s_axi_bvalid,
    input  logic                            s_axi_bready,
    input  logic [        ADDRESS_BITS-1:0] s_axi_araddr,
    input  logic [                     2:0] s_axi_arprot,
    input  logic                            s_axi_arvalid,
    output logic                            s_axi_arready,
    output logic [                    31:0] s_axi_rdata,
    output logic [                     1:0] s_axi_rresp,
    output logic                            s_axi_rvalid,
    input  logic                            s_axi_rready,
    output logic                            model_rst,
    output logic                            run,
    output logic                            resume,
    output logic [                     1:0] mode,
    output logic [                    31:0] length,
    output logic [                    15:0] count,
    output logic [                    31:0] memory_base,
    output logic                            memory_placed,   // its base was written
    input  logic [                     3:0] memory_fault,
    input  logic [        COUNTER_BITS-1:0] memory_beats,
    input  logic                            idle,
    input  logic [                     3:0] fault,
    input  logic [                    31:0] fault_position,
    input  logic [                    31:0] fault_id,
    input  logic [        COUNTER_BITS-1:0] cycles,
    input  logic [        COUNTER_BITS-1:0] tokens,
    input  logic [        COUNTER_BITS-1:0] busy_cycles,
    input  logic [        COUNTER_BITS-1:0] source_stalls,
    input  logic [        COUNTER_BITS-1:0] sink_stalls,
    input  logic [   LIFS*COUNTER_BITS-1:0] spike_counts,
    input  logic [LINEARS*COUNTER_BITS-1:0] event_counts
);
  localparam int WordBits = ADDRESS_BITS - 2;
  localparam logic [WordBits-1:0] Identity = WordBits'('h000 / 4);
  localparam logic [WordBits-1:0] Version = WordBits'('h004 / 4);
  localparam logic [WordBits-1:0] Vocabulary = WordBits'('h008 / 4);
  localparam logic [WordBits-1:0] Channels = WordBits'('h00c / 4);
  localparam logic [WordBits-1:0] Layers = WordBits'('h010 / 4);
  localparam logic [WordBits-1:0] Lanes = WordBits'('h014 / 4);
  localparam logic [WordBits-1:0] Contexts = WordBits'('h018 / 4);
  localparam logic [WordBits-1:0] Logits = WordBits'('h01c / 4);
  localparam logic [WordBits-1:0] Spiking = WordBits'('h020 / 4);
  localparam logic [WordBits-1:0] BeatBytes = WordBits'('h024 / 4);
  localparam logic [WordBits-1:0] Driven = WordBits'('h028 / 4);
  localparam logic [WordBits-1:0] Classes = WordBits'('h02c / 4);
  localparam logic [WordBits-1:0] Longest = WordBits'('h030 / 4);
  localparam logic [WordBits-1:0] MemoryBytes = WordBits'('h034 / 4);
  localparam logic [WordBits-1:0] MemoryDigest = WordBits'('h038 / 4);
  localparam logic [WordBits-1:0] Control = WordBits'('h040 / 4);
  localparam logic [WordBits-1:0] Mode = WordBits'('h044 / 4);
  localparam logic [WordBits-1:0] Length = WordBits'('h048 / 4);
  localparam logic [WordBits-1:0] Generate = WordBits'('h04c / 4);
  localparam logic [WordBits-1:0] Status = WordBits'('h050 / 4);
  localparam logic [WordBits-1:0] MemoryBase = WordBits'('h054 / 4);
  localparam logic [WordBits-1:0] Errors = WordBits'('h060 / 4);
  localparam logic [WordBits-1:0] ErrorCount = WordBits'('h064 / 4);
  localparam logic [WordBits-1:0] ErrorPosition = WordBits'('h068 / 4);
  localparam logic [WordBits-1:0] ErrorId = WordBits'('h06c / 4);
  localparam logic [WordBits-1:0] MemoryFaults = WordBits'('h070 / 4);
  localparam logic [WordBits-1:0] MemoryBeats = WordBits'('h078 / 4);
  localparam logic [WordBits-1:0] Reads = WordBits'('h800 / 4);
  localparam int Counters = 6 + LIFS;  // of 64 bits each, from MemoryBeats on; those of reads come from Reads on

  logic write, read, reset_q, clear_q;
  logic [WordBits-1:0] write_word, read_word;
  logic [31:0] write_data, write_mask, read_data, high_q;
  logic [2:0] mode_q;
  logic [3:0] errors_q;
  logic [31:0] error_count_q, error_position_q, error_id_q;
  logic [3:0] hold_q;

  axi_lite #(
      .ADDRESS_BITS(ADDRESS_BITS)
  ) u_axi_lite (
      .clk,
      .rst,
      .s_axi_awaddr,
      .s_axi_awprot,
      .s_axi_awvalid,
      .s_axi_awready,
      .s_axi_wdata,
      .s_axi_wstrb,
      .s_axi_wvalid,
      .s_axi_wready,
      .s_axi_bresp,
      .s_axi_bvalid,
      .s_axi_bready,
      .s_axi_araddr,
      .s_axi_arprot,
      .s_axi_arvalid,
      .s_axi_arready,
      .s_axi_rdata,
      .s_axi_rresp,
      .s_axi_rvalid,
      .s_axi_rready,
      .write,
      .write_word,
      .write_data,
      .write_mask,
      .read,
      .read_word,
      .read_data
  );

  // Settings and commands. A reset of the model lasts some cycles.
  assign mode   = mode_q[1:0];
  assign resume = mode_q[2];
  wire [31:0] ones = write_data & write_mask;

  always_ff @(posedge clk) begin
    reset_q   <= write && write_word == Control && ones[1];
    clear_q   <= write && write_word == Control && ones[2];
    model_rst <= rst || hold_q != '0;
    if (rst || reset_q) hold_q <= '1;
    else if (hold_q != '0) hold_q <= hold_q - 1'b1;
    if (rst) begin
      run    <= 1'b0;
      mode_q <= '0;
      length <= '0;
      count  <= 16'd1;
      memory_base   <= '0;
      memory_placed <= 1'b0;
    end else if (write) begin
      if (write_word == Control && write_mask[0]) run <= write_data[0];
      if (write_word == Mode) mode_q <= (mode_q & ~write_mask[2:0]) | ones[2:0];
      if (write_word == Length) length <= (length & ~write_mask) | ones;
      if (write_word == MemoryBase) memory_base <= (memory_base & ~write_mask) | ones;
      if (write_word == MemoryBase) memory_placed <= 1'b1;
      if (write_word == Generate) count <= (count & ~write_mask[15:0]) | ones[15:0];
    end
  end

  // Errors stay until a 1 is written to them; position and id are those of the first.
  wire [3:0] cleared = write && write_word == Errors ? ones[3:0] : '0;
  always_ff @(posedge clk) begin
    if (rst || reset_q || clear_q) begin
      errors_q         <= '0;
      error_count_q    <= '0;
      error_position_q <= '0;
      error_id_q       <= '0;
    end else begin
      errors_q <= (errors_q & ~cleared) | fault;
      if (fault != '0) error_count_q <= error_count_q + 1'b1;
      if (fault != '0 && errors_q == '0) begin
        error_position_q <= fault_position;
        error_id_q       <= fault_id;
      end
    end
  end

  // Counters: reading the low half keeps the high half for the next read.
  wire [Counters*COUNTER_BITS-1:0] counters = {
    spike_counts, sink_stalls, source_stalls, busy_cycles, tokens, cycles, memory_beats
  };
  logic [WordBits-1:0] offset;
  logic [COUNTER_BITS-1:0] counter;
  logic reads;
  assign reads  = read_word >= Reads;
  assign offset = read_word - (reads ? Reads : MemoryBeats);
  always_comb begin
    counter = '0;
    for (int n = 0; n < Counters; n++) begin
      if (!reads && offset[WordBits-1:1] == (WordBits - 1)'(n)) counter = counters[n*COUNTER_BITS+:COUNTER_BITS];
    end
    for (int n = 0; n < LINEARS; n++) begin
      if (reads && offset[WordBits-1:1] == (WordBits - 1)'(n)) counter = event_counts[n*COUNTER_BITS+:COUNTER_BITS];
    end
  end

  wire [63:0] wide = 64'(counter);
  always_ff @(posedge clk) begin
    if (read) begin
      case (read_word)
        Identity: read_data <= 32'h53_50_4b_47;  // "SPKG"
        Version: read_data <= 32'(VERSION);
        Vocabulary: read_data <= 32'(VOCABULARY);
        Channels: read_data <= 32'(CHANNELS);
        Layers: read_data <= 32'(LAYERS);
        Lanes: read_data <= 32'(LANES);
        Contexts: read_data <= 32'(CONTEXTS);
        Logits: read_data <= {8'd0, 8'(SLOT_BITS), 8'(LOGIT_FRAC), 8'(LOGIT_BITS)};
        BeatBytes: read_data <= 32'(BEAT_BYTES);
        Spiking: read_data <= 32'(SPIKING);
        Driven: read_data <= 32'(DRIVEN);
        Classes: read_data <= 32'(CLASSES);
        Longest: read_data <= 32'(LONGEST);
        MemoryBytes: read_data <= 32'(MEMORY_BYTES);
        MemoryDigest: read_data <= 32'(MEMORY_DIGEST);
        MemoryBase: read_data <= memory_base;
        MemoryFaults: read_data <= 32'(memory_fault);
        Control: read_data <= 32'(run);
        Mode: read_data <= 32'(mode_q);
        Length: read_data <= length;
        Generate: read_data <= 32'(count);
        Status: read_data <= {30'd0, hold_q != '0, idle};
        Errors: read_data <= 32'(errors_q);
        ErrorCount: read_data <= error_count_q;
        ErrorPosition: read_data <= error_position_q;
        ErrorId: read_data <= error_id_q;
        default: read_data <= read_word < MemoryBeats ? '0 : offset[0] ? high_q : wide[31:0];
      endcase
      if (read_word >= MemoryBeats && !offset[0]) high_q <= wide[63:32];
    end
  end
endmodule
