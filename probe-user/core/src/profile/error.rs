//! What can be wrong with a profile, in words that name the key and the remedy.

/// A profile that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, a missing or unknown key, or a value of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// A role that does not exist.
    #[error("{key}: unknown role \"{role}\"; use one of {valid}")]
    UnknownRole {
        /// Where.
        key: String,
        /// What was written.
        role: String,
        /// What could be written.
        valid: String,
    },
    /// A role on a field whose type cannot have it.
    #[error("{key}: role \"{role}\" needs a field of type {needs}, this one is {kind}")]
    WrongType {
        /// Where.
        key: String,
        /// The role.
        role: &'static str,
        /// Types that can have it.
        needs: &'static str,
        /// The field's type as written.
        kind: String,
    },
    /// A type that is neither scalar nor described.
    #[error(
        "{key}: unknown type \"{kind}\"; use a scalar type, \"map\", or add [[message]] or [[enum]] with name = \"{kind}\""
    )]
    UnknownType {
        /// Where.
        key: String,
        /// What was written.
        kind: String,
    },
    /// A request or response message that is not described.
    #[error("{key}: no message \"{name}\"; add [[message]] with name = \"{name}\"")]
    UnknownMessage {
        /// Where.
        key: String,
        /// What was written.
        name: String,
    },
    /// Two of something with the same name or number.
    #[error("{key}: {what} occurs twice; remove or rename one")]
    Duplicate {
        /// Where.
        key: String,
        /// What.
        what: String,
    },
    /// A field number protobuf does not allow.
    #[error("{key}: field number {number} is out of range; use 1 to 536870911")]
    BadNumber {
        /// Where.
        key: String,
        /// What was written.
        number: u32,
    },
    /// A value that is not in a fixed list.
    #[error("{key}: unknown value \"{value}\"; use one of {valid}")]
    UnknownValue {
        /// Where.
        key: String,
        /// What was written.
        value: String,
        /// What could be written.
        valid: String,
    },
    /// A name that no message can have.
    #[error("{key}: use a name of 1 to {max} bytes")]
    BadName {
        /// Where.
        key: String,
        /// Most bytes.
        max: usize,
    },
    /// Nothing to watch.
    #[error(
        "service: the profile has no method; add [[service]] with at least one [[service.method]]"
    )]
    NoMethods,
    /// Command fields of two different enums: their numbers would be mixed up.
    #[error(
        "{key}: role \"command\" is on fields of two enums (\"{first}\", \"{second}\"); use one enum"
    )]
    TwoCommandEnums {
        /// Where the second is.
        key: String,
        /// One enum.
        first: String,
        /// The other.
        second: String,
    },
}
