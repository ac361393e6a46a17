//! What one direction of a RESP connection says.

use super::command::Command;

/// What a run of bytes brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing complete.
    Nothing,
    /// A request is complete.
    Request(Request),
    /// A reply, or something a server sends unasked, is complete.
    Reply(Reply),
    /// The framing is lost.
    Lost(Loss),
}

/// A run of bytes that was consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its length in bytes.
    pub used: usize,
    /// What a capture may hold of it.
    pub fate: Fate,
    /// What it brought.
    pub part: Part,
}

/// What a capture may hold of a run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Framing, or a word of a closed list.
    Keep,
    /// Content, of known length: nothing of it.
    Drop,
    /// Content whose length only its end tells: this byte in place of each.
    Mask(u8),
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its first word.
    pub command: Command,
    /// Words after the first.
    pub arguments: u32,
    /// What changes how requests are answered.
    pub option: Option<RequestOption>,
}

/// What changes how requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOption {
    /// `CLIENT REPLY ON`.
    ReplyOn,
    /// `CLIENT REPLY OFF`.
    ReplyOff,
    /// `CLIENT REPLY SKIP`.
    ReplySkip,
    /// `HELLO 2`.
    Resp2,
    /// `HELLO 3`.
    Resp3,
}

/// A complete value from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Any value that is none of the below.
    Value,
    /// An error.
    Error(ErrorWord),
    /// An array, and what its first element may say. In RESP2 pub/sub messages are arrays.
    Array(Option<Element>),
    /// A RESP3 push.
    Push(Option<Element>),
}

/// Declares a closed list of words.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident: $($variant:ident $name:literal,)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $(
                #[doc = concat!("`", $name, "`.")]
                $variant,
            )+
        }

        impl $type {
            /// All words, in capitals.
            pub(super) const NAMES: &'static [&'static str] = &[$($name),+];

            /// The word, if it is on the list.
            pub(super) fn from_name(name: &[u8]) -> Option<Self> {
                [$((Self::$variant, $name)),+]
                    .into_iter()
                    .find_map(|(word, known)| (known.as_bytes() == name).then_some(word))
            }

            /// The word in capitals.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

words! {
    /// First element of what a server tells subscribers.
    Element:
    Message "MESSAGE",
    PMessage "PMESSAGE",
    SMessage "SMESSAGE",
    Subscribe "SUBSCRIBE",
    Unsubscribe "UNSUBSCRIBE",
    PSubscribe "PSUBSCRIBE",
    PUnsubscribe "PUNSUBSCRIBE",
    SSubscribe "SSUBSCRIBE",
    SUnsubscribe "SUNSUBSCRIBE",
}

words! {
    /// First word of an error, as Redis 7 and its cluster write them.
    ListedError:
    Err "ERR",
    WrongType "WRONGTYPE",
    NoAuth "NOAUTH",
    NoPerm "NOPERM",
    WrongPass "WRONGPASS",
    NoProto "NOPROTO",
    NoScript "NOSCRIPT",
    NotBusy "NOTBUSY",
    Busy "BUSY",
    BusyKey "BUSYKEY",
    BusyGroup "BUSYGROUP",
    NoGroup "NOGROUP",
    Loading "LOADING",
    OutOfMemory "OOM",
    ReadOnly "READONLY",
    MasterDown "MASTERDOWN",
    MisConf "MISCONF",
    NoReplicas "NOREPLICAS",
    ExecAbort "EXECABORT",
    Moved "MOVED",
    Ask "ASK",
    TryAgain "TRYAGAIN",
    CrossSlot "CROSSSLOT",
    ClusterDown "CLUSTERDOWN",
    Unblocked "UNBLOCKED",
}

/// What an error's first word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorWord {
    /// A word of the list.
    Listed(ListedError),
    /// Any other.
    Other,
}

impl ErrorWord {
    pub(super) const NAMES: &'static [&'static str] = ListedError::NAMES;

    pub(super) fn from_name(name: Option<&[u8]>) -> Self {
        name.and_then(ListedError::from_name)
            .map_or(Self::Other, Self::Listed)
    }

    /// As written in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listed(word) => word.name(),
            Self::Other => "other",
        }
    }
}

/// Why the framing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Bytes that belong to no bulk string are missing.
    Hole,
    /// Bytes that no peer may send.
    BadValue,
    /// Values nested deeper than is followed.
    TooDeep,
}
