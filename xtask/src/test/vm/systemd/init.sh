#!/bin/busybox sh
# First program of the machine. The kernel's first file system cannot be the root of a mount namespace, which
# systemd gives to services: everything moves to another one, where systemd becomes process 1.
/bin/busybox mkdir /new
/bin/busybox mount -t tmpfs -o mode=755 tmpfs /new
for part in bin sbin lib lib64 usr etc var tmp root home dev proc sys run walk; do
    /bin/busybox cp -a "/$part" /new/
done
# What is there already stays.
/bin/busybox chroot /new /bin/busybox --install -s /usr/bin 2>/dev/null
exec /bin/busybox switch_root /new /usr/lib/systemd/systemd
