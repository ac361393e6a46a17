#!/bin/busybox sh
# First and only program of a test machine: runs the command that stands behind `--` on the kernel's
# command line, its output to the second serial port, its exit status to the third.
/bin/busybox mkdir -p /dev /proc /sys /tmp
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t tmpfs tmpfs /tmp
/bin/busybox ip link set lo up
/bin/busybox stty -F /dev/ttyS1 raw
"$@" </dev/null >/dev/ttyS1 2>&1
echo $? >/dev/ttyS2
/bin/busybox poweroff -f
