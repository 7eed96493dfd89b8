// The CRC-32 of zlib and Ethernet (polynomial 0x04c11db7, reflected), a byte a cycle. `value` is what is sent behind the bytes;
// when those four have come as well, `right`.
module crc32 (
    input  logic        clk,
    input  logic        rst,    // begins anew
    input  logic [ 7:0] data,
    input  logic        valid,
    output logic [31:0] value,
    output logic        right
);
  logic [31:0] state_q, next;
  always_comb begin
    next = state_q ^ {24'd0, data};
    for (int n = 0; n < 8; n++) next = (next >> 1) ^ (next[0] ? 32'hedb8_8320 : 32'd0);
  end
  always_ff @(posedge clk) begin
    if (rst) state_q <= '1;
    else if (valid) state_q <= next;
  end
  assign value = ~state_q;
  assign right = state_q == 32'hdebb_20e3;
endmodule
