"""What an operator sees of the daemon, and what keeps it fit: nothing here decides about energy, money or who may charge.

The map: `logs` events from a closed list · `health` `metrics` for machines that watch · `control` the socket for `edgegw`
commands · `notify` `watchdog` the service manager · `storage` how full the disk is, and the ballast · `lag` how late the loop
runs · `memory` given back to the kernel · `adjtime` whether NTP keeps the clock.
"""
