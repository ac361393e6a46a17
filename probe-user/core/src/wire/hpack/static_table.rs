//! The static table (RFC 7541, Appendix A).

/// Entries 1 to 61: name and value.
#[rustfmt::skip]
const ENTRIES: [(&str, &str); STATIC_ENTRIES as usize] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),];

/// Entries of the static table; dynamic indices start behind it.
pub(super) const STATIC_ENTRIES: u32 = 61;

/// The entry with this index (the first is 1).
pub(super) fn entry(index: u32) -> Option<(&'static [u8], &'static [u8])> {
    let position = (index as usize).checked_sub(1)?;
    ENTRIES
        .get(position)
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_start_at_one_and_end_at_sixty_one() {
        assert_eq!(entry(0), None);
        assert_eq!(entry(1), Some((&b":authority"[..], &b""[..])));
        assert_eq!(entry(4), Some((&b":path"[..], &b"/"[..])));
        assert_eq!(entry(8), Some((&b":status"[..], &b"200"[..])));
        assert_eq!(entry(61), Some((&b"www-authenticate"[..], &b""[..])));
        assert_eq!(entry(62), None);
    }
}
