//! What became of a header table entry that hides a method.

/// What became of it, or of a call that began before the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InferenceState {
    /// Its method was told by what its calls say and how.
    Inferred,
    /// Its method was told likewise, because paths written out later ruled out the others.
    Revealed,
    /// Its method was told, and a later call contradicted it: it is unknown again, for good.
    Contradicted,
    /// It was forgotten (its connection ended, or bytes were lost) while more than one method, or
    /// none with enough evidence, was possible.
    Ambiguous,
    /// It was forgotten, and no method of the profile was possible.
    Unlisted,
}

impl InferenceState {
    /// All states, in label order.
    pub const ALL: [Self; 5] = [
        Self::Inferred,
        Self::Revealed,
        Self::Contradicted,
        Self::Ambiguous,
        Self::Unlisted,
    ];

    /// As written in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inferred => "inferred",
            Self::Revealed => "revealed",
            Self::Contradicted => "contradicted",
            Self::Ambiguous => "ambiguous",
            Self::Unlisted => "unlisted",
        }
    }
}

/// What became of a call whose method was told by what the calls of its entry say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It was over, and had said nothing that another method says.
    Agreed,
    /// It took the name back.
    Contradicted,
}

impl Outcome {
    /// All outcomes, in label order.
    pub const ALL: [Self; 2] = [Self::Agreed, Self::Contradicted];

    /// As written in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Contradicted => "contradicted",
        }
    }
}
