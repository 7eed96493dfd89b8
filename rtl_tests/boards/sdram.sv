// An SDR SDRAM of 4 banks x 8192 rows x 512 columns x 16 bits, at its pins, from the data sheets' tables: what is written is read,
// CL cycles later. What a chip forbids is an error, which is printed and counted: the timings below, a command to a bank that is
// not in the state for it, anything before the init sequence (power up 100 us, precharge, two refreshes, mode register), a mode
// that is not bursts of one word at CL 2, refreshes that fall behind by more than BEHIND, a bank that is open for too long.
module sdram #(
    parameter realtime T_RCD   = 21,       // ns
    parameter realtime T_RP    = 21,
    parameter realtime T_RAS   = 45,
    parameter realtime T_RC    = 67.5,
    parameter realtime T_RFC   = 70,
    parameter realtime T_WR    = 20,
    parameter realtime T_RRD   = 15,
    parameter realtime T_MRD   = 20,
    parameter realtime T_OPEN  = 100_000,  // longest between activate and precharge
    parameter realtime T_REFI  = 7812.5,
    parameter realtime T_POWER = 100_000,
    parameter int      BEHIND  = 2
) (
    input logic        clk,
    input logic        cke,
    input logic        cs_n,
    input logic        ras_n,
    input logic        cas_n,
    input logic        we_n,
    input logic [ 1:0] ba,
    input logic [12:0] a,
    input logic [ 1:0] dqm,
    inout wire  [15:0] dq
);
  logic [15:0] words[1<<24]  /*verilator public_flat_rw*/;
  int errors  /*verilator public_flat_rd*/ = 0;
  longint refreshes  /*verilator public_flat_rd*/ = 0;
  longint reads  /*verilator public_flat_rd*/ = 0;
  longint activates  /*verilator public_flat_rd*/ = 0;

  logic [12:0] row[4];
  logic [3:0] open = '0;
  realtime activated[4], precharged[4], written[4], refreshed, moded, powered, began, any_activated;
  int init_refreshes = 0;
  logic precharged_all = 1'b0, ready = 1'b0;
  logic [15:0] read_q, out_q;
  logic reads_q, drives_q;
  logic [1:0] mask_q;
  assign dq = drives_q ? out_q : 16'hzzzz;

  task automatic fail(input string what);
    errors = errors + 1;
    if (errors <= 20) $display("sdram: %s at %0.1f ns, bank %0d", what, $realtime, ba);
  endtask

  initial begin
    refreshed = -1e9;
    moded = -1e9;
    any_activated = -1e9;
    powered = -1;
    for (int n = 0; n < 4; n++) begin
      activated[n]  = -1e9;
      precharged[n] = -1e9;
      written[n]    = -1e9;
    end
  end

  function automatic logic early(input realtime since, input realtime time_ns);
    early = $realtime - since < time_ns - 0.001;
  endfunction

  task automatic precharge(input int bank);
    if (open[bank] && early(activated[bank], T_RAS)) fail("tRAS");
    if (open[bank] && early(written[bank], T_WR)) fail("tWR");
    if (open[bank] && !early(activated[bank], T_OPEN)) fail("a bank was open for too long");
    open[bank] = 1'b0;
    precharged[bank] = $realtime;
  endtask

  always @(posedge clk) begin
    drives_q <= reads_q && mask_q != 2'b11;
    out_q    <= read_q;
    mask_q   <= dqm;
    reads_q  <= 1'b0;
    if (cke && powered < 0) powered = $realtime;
    if (ready && ($realtime - began) / T_REFI > real'(refreshes) + real'(BEHIND)) begin
      fail("refreshes are behind");
      refreshes = refreshes + 100;
    end
    if (cke && !cs_n && {ras_n, cas_n, we_n} != 3'b111) begin
      if (early(refreshed, T_RFC)) fail("tRFC");
      if (early(moded, T_MRD)) fail("tMRD");
      if (early(powered, T_POWER)) fail("a command before the power is stable");
      case ({
        ras_n, cas_n, we_n
      })
        3'b010: begin  // precharge
          if (a[10]) for (int n = 0; n < 4; n++) precharge(n);
          else precharge(int'(ba));
          if (a[10]) precharged_all = 1'b1;
        end
        3'b001: begin  // refresh
          if (open != '0) fail("a refresh while a bank is open");
          for (int n = 0; n < 4; n++) if (early(precharged[n], T_RP)) fail("tRP before a refresh");
          if (!precharged_all) fail("a refresh before the first precharge");
          refreshed = $realtime;
          init_refreshes = init_refreshes + 1;
          if (ready) refreshes = refreshes + 1;
        end
        3'b000: begin  // mode register
          if (open != '0) fail("a mode while a bank is open");
          if (a[6:0] != 7'b010_0_000) fail("a mode that is not CL 2 and single words");
          moded = $realtime;
          if (init_refreshes >= 2 && !ready) begin
            ready = 1'b1;
            began = $realtime;
          end
        end
        3'b011: begin  // activate
          if (!ready) fail("an activate before the init sequence is over");
          if (open[ba]) fail("an activate of an open bank");
          if (early(precharged[ba], T_RP)) fail("tRP");
          if (early(activated[ba], T_RC)) fail("tRC");
          if (early(any_activated, T_RRD)) fail("tRRD");
          open[ba] = 1'b1;
          row[ba] = a;
          activated[ba] = $realtime;
          any_activated = $realtime;
          activates = activates + 1;
        end
        3'b101, 3'b100: begin  // read, write
          if (!open[ba]) fail("a word of a closed bank");
          if (early(activated[ba], T_RCD)) fail("tRCD");
          if (a[9]) fail("a column that the smaller chips do not have");
          if (we_n) begin
            read_q  <= words[{row[ba], ba, a[8:0]}];
            reads_q <= 1'b1;
            reads = reads + 1;
          end else begin
            if (reads_q || drives_q) fail("a word is written while the chip sends");
            if (!dqm[0]) words[{row[ba], ba, a[8:0]}][7:0] = dq[7:0];
            if (!dqm[1]) words[{row[ba], ba, a[8:0]}][15:8] = dq[15:8];
            written[ba] = $realtime;
          end
          if (a[10]) precharge(int'(ba));
        end
        default: fail("an unknown command");
      endcase
    end
  end
endmodule
