//! voxprobe's shell: everything that touches the kernel, NVML, files, sockets and clocks.

pub mod gpu;
