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
  // `tap.cpp`: formatting by $fwrite took a fifth of a simulation.
  import "DPI-C" function chandle tap_open(input string path);
  import "DPI-C" function void tap_write(
    input chandle file,
    input longint unsigned value,
    input int digits,
    input bit last
  );
  import "DPI-C" function void tap_close(input chandle file);

  localparam int Parts = (WIDTH + 63) / 64;
  localparam int FirstDigits = (WIDTH + 3) / 4 - 16 * (Parts - 1);
  logic [64*Parts-1:0] parts;
  assign parts = (64 * Parts)'(data);

  string  folder;
  chandle file;
  initial begin
    if (!$value$plusargs("TAPS=%s", folder)) folder = ".";
    file = tap_open({folder, "/", NAME, ".hex"});
  end
  always @(posedge clk) begin
    if (transfer) begin
      tap_write(file, 64'(cycle), 8, 1'b0);
      for (int n = Parts - 1; n >= 0; n--) begin
        tap_write(file, parts[64*n+:64], n == Parts - 1 ? FirstDigits : 16, n == 0);
      end
    end
  end
  final tap_close(file);
endmodule
