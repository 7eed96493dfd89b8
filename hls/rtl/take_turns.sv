// The products a * b of four users, all SIGNED or none, one cycle later. SHARED: by one multiplier; a user's product holds
// in the cycle after its turn, and no two users have theirs in the same cycle.
module take_turns #(
    parameter int A_BITS = 19,
    parameter int B_BITS = 17,
    parameter int SIGNED = 1,
    parameter int SHARED = 1
) (
    input  logic                         clk,
    input  logic [                  3:0] turn,
    input  logic [         4*A_BITS-1:0] a,
    input  logic [         4*B_BITS-1:0] b,
    output logic [4*(A_BITS+B_BITS)-1:0] product
);
  localparam int P = A_BITS + B_BITS;

  if (SHARED != 0) begin : gen_shared
    logic [1:0] user;
    logic [A_BITS-1:0] x, x_q;
    logic [B_BITS-1:0] y, y_q;
    logic [P-1:0] xy;
    logic unused_turn;
    assign unused_turn = turn[0];  // whose turn it is where it is nobody else's
    assign user = {turn[3] || turn[2], turn[3] || turn[1]};
    mux4 #(
        .WIDTH(A_BITS)
    ) u_x (
        .s(user),
        .x(a),
        .y(x)
    );
    mux4 #(
        .WIDTH(B_BITS)
    ) u_y (
        .s(user),
        .x(b),
        .y(y)
    );
    always_ff @(posedge clk) begin
      x_q <= x;
      y_q <= y;
    end
    if (SIGNED != 0) begin : gen_signed
      assign xy = $signed(x_q) * $signed(y_q);
    end else begin : gen_unsigned
      assign xy = x_q * y_q;
    end
    assign product = {4{xy}};
  end else begin : gen_each
    logic unused_turn;
    assign unused_turn = ^turn;
    for (genvar u = 0; u < 4; u++) begin : gen_user
      logic [A_BITS-1:0] x_q;
      logic [B_BITS-1:0] y_q;
      logic [P-1:0] xy;
      always_ff @(posedge clk) begin
        x_q <= a[u*A_BITS+:A_BITS];
        y_q <= b[u*B_BITS+:B_BITS];
      end
      if (SIGNED != 0) begin : gen_signed
        assign xy = $signed(x_q) * $signed(y_q);
      end else begin : gen_unsigned
        assign xy = x_q * y_q;
      end
      assign product[u*P+:P] = xy;
    end
  end
endmodule
