//! Captures of connections whose methods were inferred.

use fastrand::Rng;

use super::traffic::{Mix, Traffic};
use super::wire::Style;
use crate::flow::tests::peer::{Piece, Watched};
use crate::record::{GapReason, Joined};

#[test]
fn capture_of_a_connection_joined_late_replays_to_the_same_names() {
    let mut inferred = 0;
    for seed in 0..25 {
        let mut rng = Rng::with_seed(seed);
        let mix = Mix {
            style: Style::GrpcCore,
            sessions: 3,
            length_ms: 5_000,
            frames: 8,
            idle_ms: 300,
            control_in: 2,
            models: true,
            unlisted: seed % 2 == 1,
            twins: None,
            metadata: seed % 4 == 0,
        };
        let traffic = Traffic::new(&mut rng, mix);
        let cut = rng.usize(..traffic.writes.len() / 2);
        let mut live = Watched::new(Joined::Late);
        let mut replayed = Watched::new(Joined::Late);
        let mut kept = Vec::new();
        for write in traffic.writes.iter().skip(cut) {
            (live.at, replayed.at) = (write.at, write.at);
            if rng.u8(..100) == 0 {
                let length = write.bytes.len() as u64;
                live.hole(write.from, length, GapReason::Lost);
                replayed.hole(write.from, length, GapReason::Lost);
                continue;
            }
            // A read may end anywhere.
            let (first, second) = write.bytes.split_at(rng.usize(..=write.bytes.len()));
            for bytes in [first, second] {
                let pieces = live.bytes(write.from, bytes);
                replayed.pieces(write.from, &pieces);
                for piece in &pieces {
                    if let Piece::Bytes(bytes) = piece {
                        kept.extend_from_slice(bytes);
                        kept.push(0);
                    }
                }
            }
        }
        live.close();
        replayed.close();
        let events = live.take();
        assert_eq!(replayed.take(), events, "seed {seed}");
        inferred += events
            .iter()
            .filter(|e| e.starts_with("MethodInferred"))
            .count();
        for content in [&b"words"[..], b"went", b"heard", &[0xa5; 4], &[0x5a; 4]] {
            assert!(
                !kept.windows(content.len()).any(|w| w == content),
                "seed {seed}"
            );
        }
    }
    assert!(inferred > 25, "{inferred}");
}
