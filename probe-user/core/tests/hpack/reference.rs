//! nghttp2's encoder and decoder.

use std::ptr::null_mut;

use fastrand::Rng;
use libnghttp2_sys as sys;

use crate::Field;

/// Its decoder.
pub(crate) struct Inflater(*mut sys::nghttp2_hd_inflater);

impl Inflater {
    pub(crate) fn new() -> Self {
        let mut inflater = null_mut();
        // SAFETY: writes a pointer to where it is told, or fails.
        let result = unsafe { sys::nghttp2_hd_inflate_new(&raw mut inflater) };
        assert_eq!(result, 0);
        Self(inflater)
    }

    /// Entries of the dynamic table.
    pub(crate) fn entries(&self) -> usize {
        // SAFETY: the inflater lives as long as `self`; the call only reads.
        unsafe { sys::nghttp2_hd_inflate_get_num_table_entries(self.0) - 61 }
    }

    /// The fields of a block; `None` where it is damaged.
    pub(crate) fn inflate(&mut self, block: &[u8]) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        let mut input = block;
        loop {
            let mut flags = 0;
            let mut field = sys::nghttp2_nv {
                name: null_mut(),
                value: null_mut(),
                namelen: 0,
                valuelen: 0,
                flags: 0,
            };
            // SAFETY: the input is as long as is said, and everything else outlives the call.
            let used = unsafe {
                sys::nghttp2_hd_inflate_hd3(
                    self.0,
                    &raw mut field,
                    &raw mut flags,
                    input.as_ptr(),
                    input.len(),
                    1,
                )
            };
            input = input.get(usize::try_from(used).ok()?..)?;
            let flags = flags.cast_unsigned();
            if flags & sys::NGHTTP2_HD_INFLATE_EMIT != 0 {
                // SAFETY: an emitted field points to so many bytes until the next call.
                let text = |start: *mut u8, length| unsafe {
                    std::slice::from_raw_parts(start, length).to_vec()
                };
                fields.push((
                    text(field.name, field.namelen),
                    text(field.value, field.valuelen),
                ));
            }
            if flags & sys::NGHTTP2_HD_INFLATE_FINAL != 0 {
                // SAFETY: the inflater lives as long as `self`.
                let result = unsafe { sys::nghttp2_hd_inflate_end_headers(self.0) };
                assert_eq!(result, 0);
                return Some(fields);
            }
        }
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { sys::nghttp2_hd_inflate_del(self.0) };
    }
}

/// Its encoder: Huffman where that is shorter, indices where there are some.
pub(crate) struct Deflater(*mut sys::nghttp2_hd_deflater);

impl Deflater {
    pub(crate) fn new() -> Self {
        let mut deflater = null_mut();
        // SAFETY: writes a pointer to where it is told, or fails.
        let result = unsafe { sys::nghttp2_hd_deflate_new(&raw mut deflater, 4096) };
        assert_eq!(result, 0);
        Self(deflater)
    }

    /// The block of some random fields, now and then after a change of the table's size.
    pub(crate) fn block(&mut self, rng: &mut Rng) -> Vec<u8> {
        if rng.u8(..8) == 0 {
            let size = if rng.bool() { 0 } else { rng.usize(..4096) };
            // SAFETY: the deflater lives as long as `self`.
            let result = unsafe { sys::nghttp2_hd_deflate_change_table_size(self.0, size) };
            assert_eq!(result, 0);
        }
        let mut texts: Vec<Field> = (0..rng.usize(1..8))
            .map(|_| (name(rng).to_vec(), value(rng)))
            .collect();
        let fields: Vec<_> = texts
            .iter_mut()
            .map(|(name, value)| sys::nghttp2_nv {
                name: name.as_mut_ptr(),
                value: value.as_mut_ptr(),
                namelen: name.len(),
                valuelen: value.len(),
                flags: 0,
            })
            .collect();
        let mut block = vec![0; 16 * 1024];
        // SAFETY: the fields point into `texts`, which outlives the call; the buffer is as long as
        // is said.
        let used = unsafe {
            sys::nghttp2_hd_deflate_hd2(
                self.0,
                block.as_mut_ptr(),
                block.len(),
                fields.as_ptr(),
                fields.len(),
            )
        };
        block.truncate(usize::try_from(used).expect("the buffer is long enough"));
        block
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { sys::nghttp2_hd_deflate_del(self.0) };
    }
}

/// A name as gRPC peers use them.
pub(crate) fn name(rng: &mut Rng) -> &'static [u8] {
    const NAMES: [&[u8]; 8] = [
        b":path",
        b":authority",
        b"te",
        b"content-type",
        b"user-agent",
        b"grpc-timeout",
        b"x-request-id",
        b"grpc-status",
    ];
    NAMES[rng.usize(..NAMES.len())]
}

/// A value: often one of a few, sometimes long.
pub(crate) fn value(rng: &mut Rng) -> Vec<u8> {
    if rng.u8(..3) > 0 {
        return format!("/tts.TTSService/Method{}", rng.u8(..4)).into_bytes();
    }
    let length = if rng.u8(..20) == 0 {
        rng.usize(..4200)
    } else {
        rng.usize(..24)
    };
    (0..length).map(|_| rng.u8(32..127)).collect()
}
