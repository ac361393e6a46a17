//! How sockets would be seen here: which tier is taken, why, and what the others lack.

use super::{Capability, State};
use crate::attach::{self, AttachError, Attached, Choice, Following, Tier};

/// What became of one try.
type Tried = Result<Attached, AttachError>;

/// Attaches what `run` would, then the tiers that it did not try, each for a moment: whether sockets are
/// seen, then each tier, then whether scheduling is followed.
pub(super) fn tiers(settings: attach::Settings, roots: &[String]) -> Vec<Capability> {
    let attach = |choice| {
        let settings = attach::Settings { choice, ..settings };
        Attached::attach(settings, log::LevelFilter::Off, roots).map(|(attached, _ring)| attached)
    };
    let wanted = attach(settings.choice);
    let mut capabilities = vec![hooks(&wanted, settings.choice).required()];
    let taken = wanted.as_ref().ok().map(|attached| attached.tier);
    let scheduling = scheduling(wanted.as_ref().ok().map(|attached| &attached.following));
    // A lack of privileges is every tier's.
    let not_permitted = wanted.as_ref().is_err_and(|error| error.permission);
    // Two at a time are twice as dear.
    let passed_over = wanted.map_or_else(|_| Vec::new(), |attached| attached.refused);
    for tier in Tier::ALL.into_iter().filter(|_| !not_permitted) {
        let capability = if taken == Some(tier) {
            Capability::active(name(tier), format!("would be taken: {}", tier.hooked()))
        } else {
            let refusal = passed_over.iter().find(|refusal| refusal.tier == tier);
            let reason = refusal.map(|refusal| refusal.error.what.as_str());
            other(tier, taken, reason, attach(tier.into()))
        };
        capabilities.push(capability);
    }
    capabilities.push(scheduling);
    capabilities
}

fn hooks(wanted: &Tried, choice: Choice) -> Capability {
    match wanted {
        Ok(attached) => {
            let why = match choice {
                Choice::Auto => "the first that works here",
                _ => "as asked for",
            };
            let count = attached.hooks().len();
            let detail = format!("{}, {why}; {count} programs", attached.tier);
            Capability::active("hooks", detail)
        }
        Err(error) => {
            let state = if error.permission {
                State::Unavailable
            } else {
                State::Failed
            };
            Capability::missing("hooks", state, &error.what, &error.remedy)
        }
    }
}

fn name(tier: Tier) -> &'static str {
    match tier {
        Tier::Fentry => "tier fentry",
        Tier::Kprobe => "tier kprobe",
        Tier::Sockets => "tier sockets",
        Tier::Tracepoints => "tier tracepoints",
        Tier::Raw => "tier raw",
    }
}

/// A tier that is not taken. Nothing is missing without it. `reason`: why it was refused where it was not named.
fn other(tier: Tier, taken: Option<Tier>, reason: Option<&str>, tried: Tried) -> Capability {
    match (tried, reason) {
        (Ok(_), Some(reason)) => {
            Capability::active(name(tier), format!("works, passed over: {reason}"))
        }
        (Ok(_), None) => {
            let place = |one: Tier| Tier::ALL.iter().position(|tier| *tier == one);
            let beside = match taken {
                Some(taken) if place(tier) < place(taken) => "cheaper",
                Some(_) => "dearer",
                None => "not asked for",
            };
            let detail = format!("works, {beside}: {}", tier.hooked());
            Capability::active(name(tier), detail)
        }
        (Err(error), _) => {
            Capability::missing(name(tier), State::Unavailable, error.what, error.remedy)
        }
    }
}

/// Whether late frames can be explained by what threads did.
fn scheduling(following: Option<&Following>) -> Capability {
    let name = "scheduling";
    match following {
        Some(Following::On(_)) => Capability::active(name, "late frames can be explained"),
        Some(Following::Off) => {
            Capability::missing(name, State::Unavailable, "it is not tried", "")
        }
        Some(Following::Unavailable(reason)) => Capability::missing(
            name,
            State::Unavailable,
            reason,
            "use Linux 5.19 or newer, or live with late frames explained only by text, model loads and \
             PAUSE",
        ),
        None => {
            let detail = "the other programs cannot be attached";
            Capability::missing(name, State::Unavailable, detail, "see `hooks`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> AttachError {
        AttachError {
            what: "no such tracepoint".to_owned(),
            remedy: "use another kernel".to_owned(),
            permission: false,
        }
    }

    #[test]
    fn kernel_that_does_not_tell_scheduling_is_no_finding_and_the_version_is_named() {
        let reason = Following::Unavailable("no such argument".to_owned());
        let refused = scheduling(Some(&reason));
        assert_eq!(refused.state, State::Unavailable);
        assert!(!refused.required && refused.remedy.is_some_and(|it| it.contains("5.19")));
        assert_eq!(scheduling(Some(&Following::On(1))).state, State::Active);
        assert_eq!(scheduling(None).state, State::Unavailable);
    }

    #[test]
    fn tier_that_is_refused_is_told_why_and_is_no_finding() {
        let told = other(Tier::Sockets, Some(Tier::Tracepoints), None, Err(refusal()));
        assert_eq!(told.state, State::Unavailable);
        assert!(!told.required);
        assert_eq!(told.detail, "no such tracepoint");
        assert_eq!(told.remedy.as_deref(), Some("use another kernel"));
    }

    #[test]
    fn nothing_that_works_is_a_finding() {
        let told = hooks(&Err(refusal()), Choice::Auto);
        assert_eq!(told.state, State::Failed);
        let error = AttachError {
            permission: true,
            ..refusal()
        };
        assert_eq!(hooks(&Err(error), Choice::Raw).state, State::Unavailable);
    }
}
