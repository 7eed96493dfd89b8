# Packages the model as an IP for Vivado's catalogue, in place: component.xml is written into the folder above this one,
# where rtl/ and its memory images keep their relative paths.
#
#   vivado -mode batch -source package_ip.tcl                     (for xc7z020clg400-1, PYNQ-Z1 and -Z2)
#   vivado -mode batch -source package_ip.tcl -tclargs PART

set ip [file dirname [file normalize [info script]]]
set root [file dirname $ip]
set part [expr {$argc > 0 ? [lindex $argv 0] : "xc7z020clg400-1"}]

create_project -force -part $part package_spikegpt [file join $ip vivado]

set sources {}
foreach source [concat [glob [file join $root rtl *.sv]] [glob [file join $ip *.sv]] [glob [file join $ip *.v]]] {
    if {[file tail $source] ne "testbench.sv"} { lappend sources $source }
}
add_files -norecurse $sources
set images [glob [file join $root rtl images *.hex]]
add_files -norecurse $images
set_property file_type {Memory File} [get_files $images]
add_files -norecurse -fileset constrs_1 [file join $ip spikegpt_ip.xdc]
set_property used_in {synthesis implementation out_of_context} [get_files spikegpt_ip.xdc]
set_property top spikegpt_ip [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir $root -vendor spikegpt-hls -library user -taxonomy /UserIP -set_current true
set core [ipx::current_core]
set_property name spikegpt_ip $core
set_property version 1.0 $core
set_property display_name "SpikeGPT" $core
set_property description "A spiking language model: token ids in, logits or tokens out" $core
foreach bus {s_axi s_axis m_axis} {
    ipx::associate_bus_interfaces -busif $bus -clock aclk $core
}
# The port to the memory of the weights, of a model that has one: a master, which sees 4 GB.
set memory [ipx::get_bus_interfaces -quiet m_axi -of_objects $core]
if {[llength $memory] > 0} {
    ipx::associate_bus_interfaces -busif m_axi -clock aclk $core
    if {[llength [ipx::get_address_spaces -quiet m_axi -of_objects $core]] == 0} {
        set space [ipx::add_address_space m_axi $core]
        set_property range 4294967296 $space
        set_property width 32 $space
        set_property master_address_space_ref m_axi $memory
    }
}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
