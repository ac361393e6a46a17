//! Recording a message's shape while it is decoded.

use std::sync::Arc;

use super::{Content, Decoder, Looks, Shape, nested};
use crate::profile::Profile;

impl Decoder {
    /// Records the shape of the message just started.
    pub fn record(&mut self, looks: Arc<Looks>) {
        self.shape.clear();
        self.looks = Some(looks);
    }

    /// The shape of the message just finished, where it was recorded.
    pub fn shape(&self) -> Option<&Shape> {
        self.looks.as_ref().map(|_| &self.shape)
    }

    /// What stands in a capture for the run just consumed.
    pub fn take_masked(&mut self) -> Option<Vec<u8>> {
        self.masked.take()
    }

    /// Records a field of the message itself.
    pub(super) fn note(&mut self, content: Content) {
        if self.looks.is_some() && self.levels.len() == 1 {
            self.shape.push(self.number, content);
        }
    }

    /// Looks at the whole content of the field just recorded.
    pub(super) fn look(&mut self, profile: &Profile, content: &[u8]) {
        let look = self.looks.as_ref().and_then(|looks| looks.at(self.number));
        if let Some(look) = look.filter(|_| !self.shape.more) {
            let (seen, masked) = nested::look(profile, look, content);
            self.shape.see(seen);
            self.masked = masked;
        }
    }
}
