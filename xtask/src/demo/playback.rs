//! The demo without privileges: a recorded capture through the same pipeline and the same views.
//!
//! The capture was made with `cargo xtask demo --for 6s --record tests/data/demo.vxcap`. It holds no
//! audio and no text.

use anyhow::Result;

use super::diagnosis::Diagnosis;
use super::screen::Screen;
use super::{agent, excerpt, exposition, finding, shown, streams, view};
use crate::workspace::Workspace;

/// Where the capture is, below the workspace.
const CAPTURE: &str = "tests/data/demo.vxcap";

/// Shows the streams and the metrics as they were at the capture's end.
pub(super) fn show(workspace: &Workspace, screen: &mut Screen) -> Result<()> {
    let capture = workspace.root().join(CAPTURE);
    screen.say(format!(
        "the same pipeline on a recorded capture: voxprobe replay {} --metrics",
        shown(&capture)
    ))?;
    let streams = streams::parse(&agent::replay(workspace, &capture, "--streams")?)?;
    let metrics = exposition::parse(&agent::replay(workspace, &capture, "--metrics")?);
    screen.say("\nat its end:")?;
    screen.draw(&view::picture(None, &streams, &metrics))?;
    screen
        .say("\nlate audio, from a fault that was recorded with it (a frame held back 400 ms):")?;
    for line in finding::between(&[], &metrics).lines() {
        screen.say(line)?;
    }
    for line in Diagnosis::of(workspace, &capture)?.lines(None) {
        screen.explain(line)?;
    }
    for line in excerpt::lines(&metrics) {
        screen.say(line)?;
    }
    Ok(())
}
