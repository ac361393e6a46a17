//! What the handshake agreed on (RFC 6455, 9.1, and RFC 7692, 7.1).

/// Extensions of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// permessage-deflate.
    pub deflate: Option<Deflate>,
    /// An extension that is not known here: what messages say cannot be told.
    pub unknown: bool,
}

/// Parameters of permessage-deflate. The window sizes are of no use here: whoever inflates with the
/// largest window, 32 KiB, can read every smaller one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deflate {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client does.
    pub client_no_context_takeover: bool,
}

impl Extensions {
    /// Takes in one `Sec-WebSocket-Extensions` field of the server's response.
    pub fn add(&mut self, value: &[u8]) {
        for extension in value.split(|byte| *byte == b',') {
            let mut parts = extension
                .split(|byte| *byte == b';')
                .map(<[u8]>::trim_ascii);
            match parts.next() {
                None | Some(b"") => {}
                Some(name) if name.eq_ignore_ascii_case(b"permessage-deflate") => {
                    let mut deflate = Deflate::default();
                    for parameter in parts {
                        let is = |name: &[u8]| parameter.eq_ignore_ascii_case(name);
                        deflate.server_no_context_takeover |= is(b"server_no_context_takeover");
                        deflate.client_no_context_takeover |= is(b"client_no_context_takeover");
                    }
                    self.deflate = Some(deflate);
                }
                Some(_) => self.unknown = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(value: &[u8]) -> Extensions {
        let mut extensions = Extensions::default();
        extensions.add(value);
        extensions
    }

    #[test]
    fn parameters_of_deflate_are_read_in_any_form() {
        let plain = agreed(b"permessage-deflate");
        assert_eq!(plain.deflate, Some(Deflate::default()));
        let all = agreed(
            b" Permessage-Deflate ;client_no_context_takeover;server_max_window_bits=\"10\" ; \
              server_no_context_takeover",
        );
        let deflate = Deflate {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
        };
        assert_eq!(all.deflate, Some(deflate));
        assert!(!all.unknown);
    }

    #[test]
    fn extension_that_is_not_known_is_told() {
        assert_eq!(agreed(b""), Extensions::default());
        assert!(agreed(b"x-webkit-deflate-frame").unknown);
        let both = agreed(b"permessage-deflate, x-mux");
        assert!(both.unknown && both.deflate.is_some());
    }
}
