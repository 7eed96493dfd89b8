// Records a stream: one line of fixed length per transfer, the cycle in 8 hex digits and then the data.
module tap #(
    parameter int WIDTH = 8,
    parameter     NAME  = "stream"
) (
    input logic             clk,
    input logic             transfer,
    input logic [     31:0] cycle,
    input logic [WIDTH-1:0] data
);
  string folder;
  int file;
  initial begin
    if (!$value$plusargs("TAPS=%s", folder)) folder = ".";
    file = $fopen({folder, "/", NAME, ".hex"}, "w");
  end
  always @(posedge clk) if (transfer) $fwrite(file, "%h%h\n", cycle, data);
  final $fclose(file);
endmodule
