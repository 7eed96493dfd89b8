# A design around the IP for a board whose processor hosts it, as a bitstream for PYNQ: spikegpt.bit and spikegpt.hwh. It
# has the processor, a DMA for ids and what the model gives, and, where weights lie in the processor's memory, the IP's
# master on a port of its own. Package the IP first (package_ip.tcl).
#
#   vivado -mode batch -source block_design.tcl                   (for a PYNQ-Z2)
#   vivado -mode batch -source block_design.tcl -tclargs kria     (for a Kria K26: KV260, KR260)

set ip [file dirname [file normalize [info script]]]
set board [expr {$argc > 0 ? [lindex $argv 0] : "pynq-z2"}]
set clock 100
set parts [dict create pynq-z2 xc7z020clg400-1 kria xck26-sfvc784-2LV-c]
if {![dict exists $parts $board]} { error "unknown board $board: choose one of [dict keys $parts]" }

create_project -force -part [dict get $parts $board] spikegpt_$board [file join $ip vivado_$board]
set_property ip_repo_paths [file dirname $ip] [current_project]
update_ip_catalog
create_bd_design design_1

# Without a version it is the newest one that this Vivado has.
proc cell {kind as {settings {}}} {
    create_bd_cell -type ip -vlnv $kind $as
    if {[llength $settings] > 0} { set_property -dict $settings [get_bd_cells $as] }
}
proc wire {from args} {
    foreach to $args { connect_bd_net [get_bd_pins $from] [get_bd_pins $to] }
}
proc bus {from to} { connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to] }

# The processor: a master for registers, a port for the DMA's memory and one for the weights.
if {$board eq "pynq-z2"} {
    cell xilinx.com:ip:processing_system7 ps [list \
        CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock CONFIG.PCW_USE_M_AXI_GP0 1 \
        CONFIG.PCW_USE_S_AXI_HP0 1 CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64 \
        CONFIG.PCW_USE_S_AXI_HP1 1 CONFIG.PCW_S_AXI_HP1_DATA_WIDTH 64]
    make_bd_intf_pins_external [get_bd_intf_pins ps/DDR] [get_bd_intf_pins ps/FIXED_IO]
    set control ps/M_AXI_GP0
    set data ps/S_AXI_HP0
    set weights ps/S_AXI_HP1
    set aclk ps/FCLK_CLK0
    set reset ps/FCLK_RESET0_N
    wire $aclk ps/M_AXI_GP0_ACLK ps/S_AXI_HP0_ACLK ps/S_AXI_HP1_ACLK
} else {
    cell xilinx.com:ip:zynq_ultra_ps_e ps [list \
        CONFIG.PSU__FPGA_PL0_ENABLE 1 CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $clock \
        CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 \
        CONFIG.PSU__USE__S_AXI_GP2 1 CONFIG.PSU__SAXIGP2__DATA_WIDTH 64 \
        CONFIG.PSU__USE__S_AXI_GP3 1 CONFIG.PSU__SAXIGP3__DATA_WIDTH 64]
    set control ps/M_AXI_HPM0_FPD
    set data ps/S_AXI_HP0_FPD
    set weights ps/S_AXI_HP1_FPD
    set aclk ps/pl_clk0
    set reset ps/pl_resetn0
    wire $aclk ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk ps/saxihp1_fpd_aclk
}
cell xilinx.com:ip:proc_sys_reset resets
wire $aclk resets/slowest_sync_clk
wire $reset resets/ext_reset_in

# The IP and its DMA have the names by which the driver's examples call them.
cell spikegpt-hls:user:spikegpt_ip spikegpt_ip_0
cell xilinx.com:ip:axi_dma axi_dma_0 [list \
    CONFIG.c_include_sg 0 CONFIG.c_sg_length_width 26 \
    CONFIG.c_m_axi_mm2s_data_width 32 CONFIG.c_m_axis_mm2s_tdata_width 32 CONFIG.c_mm2s_burst_size 16]
bus axi_dma_0/M_AXIS_MM2S spikegpt_ip_0/s_axis
bus spikegpt_ip_0/m_axis axi_dma_0/S_AXIS_S2MM
wire $aclk spikegpt_ip_0/aclk axi_dma_0/s_axi_lite_aclk axi_dma_0/m_axi_mm2s_aclk axi_dma_0/m_axi_s2mm_aclk
wire resets/peripheral_aresetn spikegpt_ip_0/aresetn axi_dma_0/axi_resetn

proc between {name masters slaves} {
    global aclk
    cell xilinx.com:ip:smartconnect $name [list CONFIG.NUM_SI [llength $masters] CONFIG.NUM_MI [llength $slaves]]
    wire $aclk $name/aclk
    wire resets/peripheral_aresetn $name/aresetn
    for {set n 0} {$n < [llength $masters]} {incr n} { bus [lindex $masters $n] [format "%s/S%02d_AXI" $name $n] }
    for {set n 0} {$n < [llength $slaves]} {incr n} { bus [format "%s/M%02d_AXI" $name $n] [lindex $slaves $n] }
}
between registers [list $control] {spikegpt_ip_0/s_axi axi_dma_0/S_AXI_LITE}
between packets {axi_dma_0/M_AXI_MM2S axi_dma_0/M_AXI_S2MM} [list $data]
if {[llength [get_bd_intf_pins -quiet spikegpt_ip_0/m_axi]] > 0} {
    between rows spikegpt_ip_0/m_axi [list $weights]
}

assign_bd_address
validate_bd_design
save_bd_design
add_files -norecurse [make_wrapper -top -files [get_files design_1.bd]]
set_property top design_1_wrapper [current_fileset]
launch_runs impl_1 -to_step write_bitstream
wait_on_run impl_1
set run [get_property DIRECTORY [get_runs impl_1]]
file copy -force [file join $run design_1_wrapper.bit] [file join $ip spikegpt.bit]
set made [file join $ip vivado_$board spikegpt_$board.gen sources_1 bd design_1 hw_handoff design_1.hwh]
file copy -force $made [file join $ip spikegpt.hwh]
close_project
