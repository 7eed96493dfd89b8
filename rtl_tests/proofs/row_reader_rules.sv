// What row_reader.sv promises, of two members: the first with four inputs of one bit in two beats and two tiles, of rows of
// two beats and of one; the second with two inputs, dense, in one tile of rows of one beat. Exactly the rows of inputs that
// are not 0 are asked for, each once, in their order, with a step for each; a tile ends with a step, and not before.
module row_reader_rules #(
    parameter TABLE_FILE = "",
    parameter BASE_FILE  = ""
) (
    input  logic       clk,
    input  logic       rst,
    input  logic [1:0] request,
    input  logic [1:0] layer,
    input  logic [1:0] tokens,
    input  logic [3:0] content,     // of the first member
    input  logic [1:0] dense,       // of the second one
    input  logic       run_ready,
    input  logic       step_ready,
    input  logic       job_ready,
    output logic       assumed,
    output logic       broken
);
  localparam int Late = 8;  // cycles without a job, a row or an end, while all are ready

  logic [1:0] grant, selected, run_beats;
  logic [3:0] x_q;  // member by member, lane by lane
  logic [4:0] run_first;
  logic beat, run_valid, step_valid, step_end, step_x;
  logic job_valid, job_member, job_last, job_words, job_shift, job_tokens;

  row_reader #(
      .MEMBERS    (2),
      .LANES      (2),
      .BATCH      (1),
      .X_BITS     (1),
      .SCAN_BITS  (1),
      .WORD_BITS  (1),
      .TILE_BITS  (1),
      .BEAT_BITS  (5),
      .LENGTH_BITS(2),
      .SHIFT_BITS (1),
      .LAYER_BITS (1),
      .TABLE_FILE (TABLE_FILE),
      .BASE_FILE  (BASE_FILE)
  ) u_reader (
      .clk,
      .rst,
      .request,
      .layer,
      .tokens,
      .grant,
      .selected,
      .beat,
      .x(x_q),
      .run_first,
      .run_beats,
      .run_valid,
      .run_ready,
      .step_valid,
      .step_end,
      .step_x,
      .step_ready,
      .job_valid,
      .job_member,
      .job_last,
      .job_words,
      .job_shift,
      .job_tokens,
      .job_ready
  );
  always_ff @(posedge clk) begin  // as a member reads its inputs
    x_q[1:0] <= selected[0] ? content[2*beat+:2] : 2'd0;
    x_q[3:2] <= selected[1] ? dense : 2'd0;
  end

  // What has to come next: of the member that was granted, its tile, and its first input that is left.
  logic active_q, inside_q, member_q, layer_q, tokens_q, tile_q;
  logic [2:0] next_q, place;
  logic [4:0] base_q;
  logic [3:0] late_q;
  wire [3:0] needed = member_q ? 4'b0011 : content;
  wire [3:0] values = member_q ? {2'b00, dense} : content;
  wire tile_last = member_q || tile_q;
  wire [1:0] row = tile_last ? 2'd1 : 2'd2;
  logic [3:0] left;
  always_comb begin
    place = 3'd4;
    for (int i = 3; i >= 0; i--) begin
      left[i] = needed[i] && 3'(i) >= next_q;
      if (left[i]) place = 3'(i);
    end
  end

  wire granted = grant != 2'd0;
  wire job = job_valid && job_ready;
  wire ask = run_valid && run_ready;
  wire step = step_valid && step_ready && !step_end;
  wire ends = step_valid && step_ready && step_end;
  wire job_right = active_q && !inside_q && job_member == member_q && job_last == tile_last && job_words == !tile_last
      && job_shift == layer_q && job_tokens == tokens_q;
  wire row_right = inside_q && left != '0 && run_beats == row && run_first == base_q + 5'(place) * 5'(row)
      && step_x == values[2'(place)];
  wire grant_right = !active_q && (grant[0] ? request[0] && !grant[1] : request == 2'b10);

  assign assumed = 1'b1;
  assign broken = (granted && !grant_right) || (job && !job_right) || ask != step || (ask && !row_right)
      || (ends && (!inside_q || left != '0)) || late_q == 4'(Late);

  always_ff @(posedge clk) begin
    if (rst) begin
      active_q <= 1'b0;
      inside_q <= 1'b0;
      late_q   <= '0;
    end else begin
      if (granted) active_q <= 1'b1;
      else if (ends && tile_last) active_q <= 1'b0;
      if (job) inside_q <= 1'b1;
      else if (ends) inside_q <= 1'b0;
      late_q <= !active_q || job || ask || ends || !(run_ready && step_ready && job_ready) ? '0 : late_q + 1'b1;
    end
    if (granted) begin
      member_q <= grant[1];
      layer_q  <= layer[grant[1]];
      tokens_q <= tokens[grant[1]];
      tile_q   <= 1'b0;
      base_q   <= grant[1] ? (layer[1] ? 5'd27 : 5'd25) : layer[0] ? 5'd13 : 5'd1;
    end else if (ends) begin
      tile_q <= 1'b1;
      base_q <= base_q + (member_q ? 5'd2 : 5'd4) * 5'(row);
    end
    if (job) next_q <= 3'd0;
    else if (ask) next_q <= place + 3'd1;
  end
endmodule
