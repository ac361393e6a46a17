//! Taking the programs out of the kernel.

use std::thread;

use aya::programs::trace_point::TracePointLink;

/// Attached tracepoints. Dropping it detaches them side by side.
///
/// Each close of such a link waits in the kernel for two grace periods, one after the other: one in
/// `perf_event_detach_bpf_prog` (`kernel/trace/bpf_trace.c`, from 6.13) until the program has left
/// every CPU, and one in `perf_trace_event_unreg` (`kernel/trace/trace_event_perf.c`). The kernel
/// holds a lock over the second, so that those stay one after the other; the first ones are shared
/// when they are waited for at the same time.
#[derive(Default)]
pub(super) struct Links(Vec<TracePointLink>);

impl Links {
    pub(super) fn add(&mut self, link: TracePointLink) {
        self.0.push(link);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        thread::scope(|scope| {
            for link in self.0.drain(..) {
                let closing = thread::Builder::new().name("detach".to_owned());
                // Where there is no thread to be had, the link is dropped here with the closure.
                drop(closing.spawn_scoped(scope, move || drop(link)));
            }
        });
    }
}
