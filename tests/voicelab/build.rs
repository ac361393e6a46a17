//! Generates the `tts` client and server without a protoc on the machine.

use anyhow::Context as _;

const PROTO: &str = "tts.proto";
const INCLUDE: &str = "../data";

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed={INCLUDE}/{PROTO}");
    let descriptors = protox::compile([PROTO], [INCLUDE]).context("compile tts.proto")?;
    tonic_prost_build::configure()
        // Audio is shared by reference between streams instead of copied for each frame.
        .bytes(".tts.AudioFrame.audio_data")
        .compile_fds(descriptors)
        .context("generate the tts service")
}
