//! The commands that are told apart. Every other one is [`Command::Other`].

/// Declares the commands, their names on the wire and the list of all.
macro_rules! commands {
    ($($variant:ident $name:literal,)+) => {
        /// A Redis command, by its first word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Command {
            $(
                #[doc = concat!("`", $name, "`.")]
                $variant,
            )+
            /// Any other.
            Other,
        }

        impl Command {
            /// All, in the order of their declaration.
            pub const ALL: [Self; Self::NAMES.len() + 1] = [$(Self::$variant,)+ Self::Other];

            /// Names on the wire, in capitals.
            pub(super) const NAMES: &'static [&'static str] = &[$($name),+];

            /// As written in labels.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other => "other",
                }
            }
        }
    };
}

commands! {
    // What a voice system says (registrations, routing), and what is common beside it.
    Get "GET",
    Set "SET",
    SetEx "SETEX",
    PSetEx "PSETEX",
    SetNx "SETNX",
    GetDel "GETDEL",
    GetEx "GETEX",
    MGet "MGET",
    MSet "MSET",
    Del "DEL",
    Unlink "UNLINK",
    Exists "EXISTS",
    Expire "EXPIRE",
    PExpire "PEXPIRE",
    Ttl "TTL",
    PTtl "PTTL",
    Type "TYPE",
    Keys "KEYS",
    Scan "SCAN",
    Incr "INCR",
    IncrBy "INCRBY",
    Decr "DECR",
    Append "APPEND",
    HGet "HGET",
    HSet "HSET",
    HMGet "HMGET",
    HMSet "HMSET",
    HDel "HDEL",
    HGetAll "HGETALL",
    HIncrBy "HINCRBY",
    HLen "HLEN",
    HKeys "HKEYS",
    SAdd "SADD",
    SRem "SREM",
    SMembers "SMEMBERS",
    SIsMember "SISMEMBER",
    SCard "SCARD",
    SPop "SPOP",
    ZAdd "ZADD",
    ZRem "ZREM",
    ZRange "ZRANGE",
    ZRangeByScore "ZRANGEBYSCORE",
    ZPopMin "ZPOPMIN",
    LPush "LPUSH",
    RPush "RPUSH",
    LPop "LPOP",
    RPop "RPOP",
    LRange "LRANGE",
    LLen "LLEN",
    XAdd "XADD",
    XRange "XRANGE",
    XAck "XACK",
    Eval "EVAL",
    EvalSha "EVALSHA",
    Script "SCRIPT",
    Publish "PUBLISH",
    Ping "PING",
    Echo "ECHO",
    Time "TIME",
    Info "INFO",
    Config "CONFIG",
    Commands "COMMAND",
    Client "CLIENT",
    Auth "AUTH",
    Select "SELECT",
    Hello "HELLO",
    Reset "RESET",
    Quit "QUIT",
    Multi "MULTI",
    Exec "EXEC",
    Discard "DISCARD",
    Watch "WATCH",
    Unwatch "UNWATCH",
    // Answered once for each channel.
    Subscribe "SUBSCRIBE",
    Unsubscribe "UNSUBSCRIBE",
    PSubscribe "PSUBSCRIBE",
    PUnsubscribe "PUNSUBSCRIBE",
    SSubscribe "SSUBSCRIBE",
    SUnsubscribe "SUNSUBSCRIBE",
    // Answered when there is something to answer.
    BlPop "BLPOP",
    BrPop "BRPOP",
    BlMove "BLMOVE",
    BzPopMin "BZPOPMIN",
    BzPopMax "BZPOPMAX",
    XRead "XREAD",
    XReadGroup "XREADGROUP",
    Wait "WAIT",
    // Followed by what is no answer to anything.
    Monitor "MONITOR",
    Sync "SYNC",
    PSync "PSYNC",
}

impl Command {
    /// The command of a name in capitals.
    pub(super) fn from_name(name: &[u8]) -> Self {
        Self::NAMES
            .iter()
            .zip(Self::ALL)
            .find_map(|(known, command)| (known.as_bytes() == name).then_some(command))
            .unwrap_or(Self::Other)
    }

    /// Whether its answer may wait for as long as the client likes.
    pub fn may_block(self) -> bool {
        matches!(
            self,
            Self::BlPop
                | Self::BrPop
                | Self::BlMove
                | Self::BzPopMin
                | Self::BzPopMax
                | Self::XRead
                | Self::XReadGroup
                | Self::Wait
        )
    }
}
