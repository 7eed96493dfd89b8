// SHA-256 (FIPS 180-4) of whole blocks of 64 bytes: 64-bit beats in, the first byte in the lowest bits; the padding block is
// its own. A block takes 8 beats and 64 cycles.
module sha256 (
    input  logic         clk,
    input  logic         rst,      // begins a message
    input  logic [ 63:0] s_data,
    input  logic         s_valid,
    output logic         s_ready,
    input  logic         s_last,
    output logic [255:0] digest,   // byte n in bits 255-8n and below
    output logic         done
);
  localparam logic [2047:0] K = {
    32'h428a2f98,
    32'h71374491,
    32'hb5c0fbcf,
    32'he9b5dba5,
    32'h3956c25b,
    32'h59f111f1,
    32'h923f82a4,
    32'hab1c5ed5,
    32'hd807aa98,
    32'h12835b01,
    32'h243185be,
    32'h550c7dc3,
    32'h72be5d74,
    32'h80deb1fe,
    32'h9bdc06a7,
    32'hc19bf174,
    32'he49b69c1,
    32'hefbe4786,
    32'h0fc19dc6,
    32'h240ca1cc,
    32'h2de92c6f,
    32'h4a7484aa,
    32'h5cb0a9dc,
    32'h76f988da,
    32'h983e5152,
    32'ha831c66d,
    32'hb00327c8,
    32'hbf597fc7,
    32'hc6e00bf3,
    32'hd5a79147,
    32'h06ca6351,
    32'h14292967,
    32'h27b70a85,
    32'h2e1b2138,
    32'h4d2c6dfc,
    32'h53380d13,
    32'h650a7354,
    32'h766a0abb,
    32'h81c2c92e,
    32'h92722c85,
    32'ha2bfe8a1,
    32'ha81a664b,
    32'hc24b8b70,
    32'hc76c51a3,
    32'hd192e819,
    32'hd6990624,
    32'hf40e3585,
    32'h106aa070,
    32'h19a4c116,
    32'h1e376c08,
    32'h2748774c,
    32'h34b0bcb5,
    32'h391c0cb3,
    32'h4ed8aa4a,
    32'h5b9cca4f,
    32'h682e6ff3,
    32'h748f82ee,
    32'h78a5636f,
    32'h84c87814,
    32'h8cc70208,
    32'h90befffa,
    32'ha4506ceb,
    32'hbef9a3f7,
    32'hc67178f2
  };
  localparam logic [255:0] Start = {
    32'h6a09e667, 32'hbb67ae85, 32'h3c6ef372, 32'ha54ff53a, 32'h510e527f, 32'h9b05688c, 32'h1f83d9ab, 32'h5be0cd19
  };
  typedef enum logic [2:0] {
    Load,
    Begin,
    Round,
    Add,
    Done
  } state_e;

  function automatic logic [31:0] turned(input logic [31:0] x, input int n);
    turned = (x >> n) | (x << (32 - n));
  endfunction

  state_e state_q;
  logic [511:0] w_q;  // the next 16 words of the schedule, the first one on top
  logic [255:0] h_q, v_q;
  logic [ 5:0] round_q;
  logic [ 2:0] beat_q;
  logic [57:0] blocks_q;  // of the message
  logic last_q, padding_q;

  assign s_ready = state_q == Load;
  assign done = state_q == Done;
  assign digest = h_q;

  logic [31:0] first, second, new_word, w0, w1, w9, w14, a, b, c, d, e, f, g, h;
  assign {w0, w1} = w_q[511:448];
  assign w9 = w_q[32*(15-9)+:32];
  assign w14 = w_q[32*(15-14)+:32];
  assign {a, b, c, d, e, f, g, h} = v_q;
  always_comb begin
    first = {s_data[7:0], s_data[15:8], s_data[23:16], s_data[31:24]};
    second = {s_data[39:32], s_data[47:40], s_data[55:48], s_data[63:56]};
    new_word = w0 + (turned(w1, 7) ^ turned(w1, 18) ^ (w1 >> 3)) + w9 +
        (turned(w14, 17) ^ turned(w14, 19) ^ (w14 >> 10));
  end

  // A round's sum of word and constant is of the cycle before.
  logic [31:0] word_q, choice, t1, t2;
  always_comb begin
    choice = (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g));
    t1 = h + word_q + choice;
    t2 = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
  end

  wire [5:0] next = round_q + 1'b1;
  wire shifts = state_q == Begin || state_q == Round;
  always_ff @(posedge clk) begin
    if (state_q == Load && s_valid) w_q <= {w_q[447:0], first, second};
    else if (shifts) w_q <= {w_q[479:0], new_word};
    else if (state_q == Add && last_q) w_q <= {32'h8000_0000, 416'd0, 64'(blocks_q) << 9};
    if (shifts) word_q <= w0 + K[32*(63-(state_q==Begin?0 : int'(next)))+:32];
    if (rst) begin
      state_q <= Load;
      h_q <= Start;
      beat_q <= '0;
      blocks_q <= '0;
      last_q <= 1'b0;
      padding_q <= 1'b0;
    end else begin
      case (state_q)
        Load:
        if (s_valid) begin
          beat_q <= beat_q + 1'b1;
          last_q <= s_last;
          if (beat_q == '1) begin
            state_q  <= Begin;
            blocks_q <= blocks_q + 1'b1;
          end
        end
        Begin: begin
          v_q <= h_q;
          round_q <= '0;
          state_q <= Round;
        end
        Round: begin
          v_q <= {t1 + t2, a, b, c, d + t1, e, f, g};
          round_q <= round_q + 1'b1;
          if (round_q == '1) state_q <= Add;
        end
        Add: begin
          for (int n = 0; n < 8; n++) h_q[32*n+:32] <= h_q[32*n+:32] + v_q[32*n+:32];
          padding_q <= last_q;
          last_q <= 1'b0;
          state_q <= padding_q ? Done : last_q ? Begin : Load;
        end
        default: ;
      endcase
    end
  end
endmodule
