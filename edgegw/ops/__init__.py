"""Operation of the daemon: logging, monitoring, service manager and disk space.

`logs` writes events from a closed list; `health_server` and `metrics` serve monitoring systems; `control_socket`
serves `edgegw` commands; `sd_notify` and `watchdog` report to systemd; `storage` watches disk space and keeps the
ballast file; `loop_lag` measures the event loop's delay; `memory` returns memory to the kernel; `adjtime` reads the
clock's NTP state. Nothing here decides about energy, money or access.
"""
