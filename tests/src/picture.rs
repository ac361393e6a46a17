//! Pictures that a browser took.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Red, green and blue of each pixel of a PNG file.
///
/// # Panics
/// When it is none with eight bits a sample.
pub fn pixels(picture: &Path) -> Vec<[u8; 3]> {
    let file = BufReader::new(File::open(picture).expect("a picture"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut bytes = vec![0; reader.output_buffer_size().expect("a size")];
    let frame = reader.next_frame(&mut bytes).expect("pixels");
    assert_eq!(frame.bit_depth, png::BitDepth::Eight);
    let samples = frame.color_type.samples();
    let pixels = bytes.chunks_exact(samples);
    pixels
        .map(|pixel| [0, 1, 2].map(|part| pixel.get(part).copied().unwrap_or(0)))
        .collect()
}

/// The part of them that differs from the first one: text and charts.
pub fn drawn(pixels: &[[u8; 3]]) -> f64 {
    let background = pixels.first();
    let drawn = pixels.iter().filter(|pixel| Some(*pixel) != background);
    drawn.count() as f64 / pixels.len().max(1) as f64
}
