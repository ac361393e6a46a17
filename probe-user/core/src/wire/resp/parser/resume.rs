//! Where the framing may be taken up again.

use super::{Parser, State};
use crate::record::Piece;
use crate::wire::resp::Part;

/// Whether the pieces of one push are a whole sequence of values: where the framing may be taken up
/// again. Of a client only arrays count: any text may be an inline command.
pub fn fits(from_client: bool, pieces: &mut dyn Iterator<Item = Piece<'_>>) -> bool {
    let mut parser = Parser::new(from_client);
    let mut values = 0_u32;
    for piece in pieces {
        match piece {
            Piece::Hole(length, reason) => {
                parser.hole(u64::from(length), reason);
            }
            Piece::Bytes(bytes) => {
                let mut position = 0;
                while let Some(step) = bytes.get(position..).and_then(|rest| parser.step(rest)) {
                    position += step.used;
                    let inline = matches!(parser.state, State::InlineSpace | State::InlineWord);
                    if inline {
                        return false;
                    }
                    values = values.saturating_add(u32::from(matches!(
                        step.part,
                        Part::Request(_) | Part::Reply(_)
                    )));
                }
            }
        }
        if parser.is_lost() {
            return false;
        }
    }
    values > 0 && parser.is_between()
}
