// What frames of a serial line may ask of a board (docs/boards.md): its registers, its memory, ids in; answers and what the
// model gives go back. A frame is {what, number, address (4 bytes), words}; all is little-endian.
//
// what  does                                                        answers
// R     reads the register at the address                           its value
// W     writes the word there
// I     sends the words as ids, the last one with tlast unless      1: no room, nothing was taken
//       bit 31 of the address
// M     puts the words into the memory, if the address is where     nothing: S says how far it came
//       the last ones ended
// S     nothing                                                     bytes that the memory has; what is known of them
// Z     forgets what the memory has
// C     has the memory's image checked                              1: it is not all there
//
// An answer is {what, number, status, last number done, two words}. A frame that says the number of the last one that was done is
// answered again and not done again, so a frame whose answer was lost is sent again. R, S and M change nothing that matters, and
// have no memory of their number. What the model gives is {"O", flags (bit 0 tlast, 1 tuser), 0, 0, the beat}.
module serial_port #(
    parameter int OUT_BITS     = 32,
    parameter int LITE_BITS    = 12,    // of a register's address
    parameter int MEMORY_BYTES = 8192,
    parameter int ADDRESS_BITS = 24,    // of a word's number in the memory
    parameter int WORDS        = 256,   // of a frame
    parameter int IDS          = 1024   // that wait
) (
    input  logic                    clk,
    input  logic                    rst,
    // bytes of the line
    input  logic [             7:0] s_data,
    input  logic                    s_valid,
    output logic                    s_ready,
    output logic [             7:0] m_data,
    output logic                    m_valid,
    input  logic                    m_ready,
    // registers
    output logic [   LITE_BITS-1:0] m_axi_awaddr,
    output logic                    m_axi_awvalid,
    input  logic                    m_axi_awready,
    output logic [            31:0] m_axi_wdata,
    output logic                    m_axi_wvalid,
    input  logic                    m_axi_wready,
    input  logic                    m_axi_bvalid,
    output logic                    m_axi_bready,
    output logic [   LITE_BITS-1:0] m_axi_araddr,
    output logic                    m_axi_arvalid,
    input  logic                    m_axi_arready,
    input  logic [            31:0] m_axi_rdata,
    input  logic                    m_axi_rvalid,
    output logic                    m_axi_rready,
    // ids, and what the model gives
    output logic [            31:0] m_axis_tdata,
    output logic                    m_axis_tvalid,
    input  logic                    m_axis_tready,
    output logic                    m_axis_tlast,
    input  logic [    OUT_BITS-1:0] s_axis_tdata,
    input  logic                    s_axis_tvalid,
    output logic                    s_axis_tready,
    input  logic                    s_axis_tlast,
    input  logic                    s_axis_tuser,
    // memory: halves of words, and its image's check
    output logic [ADDRESS_BITS-1:0] write_address,
    output logic [            15:0] write_data,
    output logic                    write_valid,
    input  logic                    write_ready,
    output logic                    check,
    output logic                    forget,
    input  logic                    checking,
    input  logic                    good,
    input  logic                    bad
);
  localparam int IndexBits = $clog2(WORDS);
  localparam int RoomBits = $clog2(IDS + 1);
  localparam int OutBytes = OUT_BITS / 8;
  localparam int AnswerBytes = 12;
  localparam int SendBytes = OutBytes + 4 > AnswerBytes ? OutBytes + 4 : AnswerBytes;
  localparam int SendBits = $clog2(SendBytes + 1);
  localparam logic [7:0] Read = "R", Write = "W", Ids = "I", Memory = "M", State = "S", Zero = "Z", Check = "C";
  localparam logic [7:0] Out = "O";
  typedef enum logic [2:0] {
    Take,
    Look,
    Reading,
    Writing,
    Moving,
    Answer
  } state_e;
  state_e state_q;

  // A frame: its head, and its words as they come; the CRC comes as a word, too.
  logic [7:0] data;
  logic valid, ends, whole;
  frame_rx u_rx (
      .clk,
      .rst,
      .s_data,
      .s_valid,
      .s_ready,
      .m_data (data),
      .m_valid(valid),
      .m_ready(state_q == Take),
      .ends,
      .whole
  );
  logic [7:0] what_q, number_q, done_q;
  logic [31:0] address_q;
  logic [23:0] word_q;
  logic [2:0] head_q;  // bytes of it that came
  logic [1:0] place_q;
  logic [IndexBits+1:0] count_q;  // words
  logic long_q;
  logic [31:0] words[WORDS];
  wire taken = valid && state_q == Take;
  wire in_head = head_q != 3'd6;
  always_ff @(posedge clk) begin
    if (rst || (ends && state_q == Take)) begin
      head_q  <= '0;
      place_q <= '0;
    end else if (taken) begin
      if (in_head) head_q <= head_q + 1'b1;
      else place_q <= place_q + 1'b1;
    end
    if (taken && head_q == 3'd0) what_q <= data;
    if (taken && head_q == 3'd1) number_q <= data;
    if (taken && in_head && head_q > 3'd1) address_q <= {data, address_q[31:8]};
    if (taken && in_head) begin
      count_q <= '0;
      long_q  <= 1'b0;
    end else if (taken && place_q == '1) begin
      count_q <= count_q + 1'b1;
      if (count_q == (IndexBits + 2)'(WORDS)) long_q <= 1'b1;
    end
    if (taken && !in_head) word_q <= {data, word_q[23:8]};
  end
  always_ff @(posedge clk) begin
    if (taken && !in_head && place_q == '1) words[count_q[IndexBits-1:0]] <= {data, word_q};
  end
  wire frame = state_q == Take && ends && whole && !in_head && place_q == '0 && !long_q && count_q != '0;

  // What is done with it.
  logic [IndexBits+1:0] left_q;  // words that are to be moved
  logic [IndexBits-1:0] at_q;
  logic [31:0] moved_q, loaded_q;
  logic ready_q, half_q, again_q, known_q;
  logic [31:0] value_q;
  logic [7:0] status_q;
  logic [RoomBits-1:0] room_q;
  wire remembers = what_q == Write || what_q == Ids || what_q == Zero || what_q == Check;
  wire last = left_q == (IndexBits + 2)'(1);
  wire id_moves = state_q == Moving && what_q == Ids && ready_q;
  wire half_moves = write_valid && write_ready;
  wire word_moves = id_moves || (half_moves && half_q);
  wire all_there = loaded_q == 32'(MEMORY_BYTES);
  wire answered = answer_q && !sending;
  logic answer_q, sending;

  assign check = state_q == Look && what_q == Check && !again_q && all_there;
  assign forget = state_q == Look && what_q == Zero && !again_q;
  assign write_valid = state_q == Moving && what_q == Memory && ready_q;
  assign write_data = half_q ? moved_q[31:16] : moved_q[15:0];
  assign write_address = ADDRESS_BITS'({loaded_q[31:2], half_q});
  assign m_axi_awaddr = address_q[LITE_BITS-1:0];
  assign m_axi_araddr = address_q[LITE_BITS-1:0];
  assign m_axi_wdata = words[0];
  assign m_axi_bready = 1'b1;
  assign m_axi_rready = 1'b1;

  always_ff @(posedge clk) begin
    if (rst) begin
      state_q       <= Take;
      known_q       <= 1'b0;
      loaded_q      <= '0;
      answer_q      <= 1'b0;
      m_axi_awvalid <= 1'b0;
      m_axi_wvalid  <= 1'b0;
      m_axi_arvalid <= 1'b0;
    end else begin
      if (answered) answer_q <= 1'b0;
      if (m_axi_awready) m_axi_awvalid <= 1'b0;
      if (m_axi_wready) m_axi_wvalid <= 1'b0;
      if (m_axi_arready) m_axi_arvalid <= 1'b0;
      case (state_q)
        Take:    if (frame) state_q <= Look;
        Look: begin
          state_q  <= Answer;
          status_q <= '0;
          if (what_q == Read) begin
            state_q       <= Reading;
            m_axi_arvalid <= 1'b1;
          end else if (what_q == Memory) begin
            state_q <= address_q == loaded_q && left_q != '0 && !all_there && !checking ? Moving : Take;
          end else if (!again_q) begin
            if (what_q == Write) begin
              state_q       <= Writing;
              m_axi_awvalid <= 1'b1;
              m_axi_wvalid  <= 1'b1;
            end
            if (what_q == Ids) begin
              if (32'(room_q) >= 32'(left_q) && left_q != '0) state_q <= Moving;
              else status_q <= 8'd1;
            end
            if (what_q == Zero) loaded_q <= '0;
            if (what_q == Check && !all_there) status_q <= 8'd1;
          end
        end
        Reading: if (m_axi_rvalid) state_q <= Answer;
        Writing: if (m_axi_bvalid) state_q <= Answer;
        Moving: begin
          if (half_moves && half_q) loaded_q <= loaded_q + 32'd4;
          if (word_moves && last) state_q <= what_q == Ids ? Answer : Take;
        end
        default:
        if (!answer_q) begin
          answer_q <= 1'b1;
          state_q  <= Take;
          if (remembers && status_q == '0) begin
            done_q  <= number_q;
            known_q <= 1'b1;
          end
        end
      endcase
    end
    if (state_q == Take) begin
      left_q  <= count_q - 1'b1;  // the last one is the CRC
      again_q <= known_q && remembers && number_q == done_q;
      at_q    <= '0;
      half_q  <= 1'b0;
      ready_q <= 1'b0;
    end else if (state_q == Moving) begin
      ready_q <= !word_moves;
      if (!ready_q) at_q <= at_q + 1'b1;
      if (half_moves) half_q <= !half_q;
      if (word_moves) left_q <= left_q - 1'b1;
    end
    moved_q <= ready_q && !word_moves ? moved_q : words[at_q];
    if (state_q == Look) value_q <= what_q == State ? loaded_q : '0;
    else if (m_axi_rvalid) value_q <= m_axi_rdata;
  end

  // Ids that wait for the model.
  fifo #(
      .WIDTH(33),
      .DEPTH(IDS)
  ) u_ids (
      .clk,
      .rst,
      .s_data ({last && !address_q[31], moved_q}),
      .s_valid(id_moves),
      .s_ready(),
      .m_data ({m_axis_tlast, m_axis_tdata}),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
  always_ff @(posedge clk) begin
    if (rst) room_q <= RoomBits'(IDS);
    else room_q <= room_q + RoomBits'(m_axis_tvalid && m_axis_tready) - RoomBits'(id_moves);
  end

  // Answers first, then what the model gives.
  logic [8*SendBytes-1:0] send_q;
  logic [SendBits-1:0] bytes_q;
  logic byte_ready;
  wire [31:0] known = {8'd1, 20'd0, checking, bad, good, all_there};  // 1: the version of this
  assign sending = bytes_q != '0;
  assign s_axis_tready = !sending && !answer_q;
  always_ff @(posedge clk) begin
    if (rst) bytes_q <= '0;
    else if (answered) bytes_q <= SendBits'(AnswerBytes);
    else if (s_axis_tvalid && s_axis_tready) bytes_q <= SendBits'(OutBytes + 4);
    else if (sending && byte_ready) bytes_q <= bytes_q - 1'b1;
    if (answered) send_q <= (8 * SendBytes)'({known, value_q, done_q, status_q, number_q, what_q});
    else if (s_axis_tvalid && s_axis_tready)
      send_q <= (8 * SendBytes)'({s_axis_tdata, 22'd0, s_axis_tuser, s_axis_tlast, Out});
    else if (byte_ready) send_q <= send_q >> 8;
  end
  frame_tx u_tx (
      .clk,
      .rst,
      .s_data (send_q[7:0]),
      .s_valid(sending),
      .s_ready(byte_ready),
      .s_last (bytes_q == SendBits'(1)),
      .m_data,
      .m_valid,
      .m_ready
  );
endmodule
