# 100 MHz, for synthesis of the IP by itself; in a design the clock is the design's.
create_clock -name aclk -period 10.000 [get_ports aclk]
