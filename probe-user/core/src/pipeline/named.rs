//! What each call was called, and when: for replays and tests.

use std::collections::BTreeMap;

use crate::flow::{CallId, Event, Method};
use crate::profile::MethodRole;
use crate::record::KtimeNs;

/// One call, when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCall {
    /// Which.
    pub call: CallId,
    /// When its first frame was seen.
    pub started: KtimeNs,
    /// When it was over; `None` where nobody saw that.
    pub ended: Option<KtimeNs>,
    /// Its path was read, and the profile does not have it.
    pub is_other: bool,
    /// What it was called and since when, in order: `None` where a name was taken back. A call is
    /// named once, and taken back once.
    pub names: Vec<(KtimeNs, Option<MethodRole>)>,
}

/// The calls of all connections.
#[derive(Debug, Default)]
pub(super) struct NamedCalls {
    /// As many as the connections follow.
    open: BTreeMap<CallId, NamedCall>,
    over: Vec<NamedCall>,
}

impl NamedCalls {
    pub(super) fn handle(&mut self, event: &Event<'_>) {
        match *event {
            Event::CallStarted { call, at, method } => {
                let names = match method {
                    Method::Known(role) => vec![(at, Some(role))],
                    Method::Other | Method::Unknown => Vec::new(),
                };
                let named = NamedCall {
                    call,
                    started: at,
                    ended: None,
                    is_other: method == Method::Other,
                    names,
                };
                self.open.insert(call, named);
            }
            Event::MethodInferred { call, at, method } => self.name(call, at, Some(method)),
            Event::MethodContradicted { call, at } => self.name(call, at, None),
            Event::CallEnded { call, at, .. } => {
                if let Some(named) = self.open.remove(&call) {
                    self.over.push(NamedCall {
                        ended: Some(at),
                        ..named
                    });
                }
            }
            _ => {}
        }
    }

    /// Those that ended since the last call.
    pub(super) fn take(&mut self) -> Vec<NamedCall> {
        std::mem::take(&mut self.over)
    }

    /// No event comes any more.
    pub(super) fn finish(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.over.extend(open.into_values());
    }

    fn name(&mut self, call: CallId, at: KtimeNs, name: Option<MethodRole>) {
        if let Some(named) = self.open.get_mut(&call) {
            named.names.push((at, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::CallEnd;
    use crate::record::ConnectionId;

    #[test]
    fn call_keeps_each_name_with_its_time_until_it_is_over() {
        let call = |stream| CallId {
            connection: ConnectionId(1),
            stream,
        };
        let started = |stream, method| Event::CallStarted {
            call: call(stream),
            at: KtimeNs(1),
            method,
        };
        let (at, method) = (KtimeNs(2), MethodRole::Control);
        let mut named = NamedCalls::default();
        named.handle(&started(1, Method::Unknown));
        named.handle(&started(3, Method::Known(MethodRole::Synthesize)));
        let call = call(1);
        named.handle(&Event::MethodInferred { call, at, method });
        named.handle(&Event::MethodContradicted {
            call,
            at: KtimeNs(3),
        });
        assert_eq!(named.take(), []);
        named.handle(&Event::CallEnded {
            call,
            at: KtimeNs(4),
            end: CallEnd::Unknown,
        });
        let over = named.take();
        assert_eq!(over.len(), 1);
        assert_eq!(over[0].names, [(at, Some(method)), (KtimeNs(3), None)]);
        assert_eq!(over[0].ended, Some(KtimeNs(4)));
        // Those that are open at the end are given then.
        named.finish();
        let open = named.take();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].ended, None);
        assert_eq!(open[0].names, [(KtimeNs(1), Some(MethodRole::Synthesize))]);
    }
}
