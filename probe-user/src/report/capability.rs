//! One thing that works here, or does not.

use serde::Serialize;

/// Three answers, not two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It works.
    Active,
    /// This host does not offer it.
    Unavailable,
    /// It is there and does not work.
    Failed,
}

impl State {
    /// As printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }
}

/// A capability of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// What.
    pub name: &'static str,
    /// Whether.
    pub state: State,
    /// Whether voxprobe cannot watch without it.
    pub required: bool,
    /// What was found, or why not.
    pub detail: String,
    /// What would fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Capability {
    pub(super) fn active(name: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            name,
            state: State::Active,
            required: false,
            detail,
            remedy: None,
        }
    }

    pub(super) fn missing(
        name: &'static str,
        state: State,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (detail, remedy) = (detail.into(), remedy.into());
        Self {
            name,
            state,
            required: false,
            detail,
            remedy: Some(remedy).filter(|remedy| !remedy.is_empty()),
        }
    }

    pub(super) fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}
