//! Finds the eBPF object that `cargo xtask build` made. Without it the crate still builds and its
//! tests run; the binary then says that it was built without its kernel side.

use std::{env, path::Path};

fn main() {
    let manifest = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let object = Path::new(&manifest).join("../target/bpf/probe-ebpf");
    println!("cargo::rerun-if-changed={}", object.display());
    println!("cargo::rustc-check-cfg=cfg(ebpf_object)");
    if object.is_file() {
        println!("cargo::rustc-cfg=ebpf_object");
        println!("cargo::rustc-env=VOXPROBE_EBPF_OBJECT={}", object.display());
    }
}
