//! Hooks of another configuration, while the agent runs.

use probe_core::record::{Hook, HookId};

use super::{HookTarget, LibraryHooks};

impl LibraryHooks {
    /// Other hooks from now on. One that is the same keeps its number and stays set; the others are
    /// taken out, and new ones are set at the next look. Gives the new ones, to be told.
    pub fn replace(&mut self, targets: Vec<HookTarget>) -> Vec<Hook> {
        let before = std::mem::take(&mut self.targets);
        let kept = |target: &HookTarget| before.iter().find(|old| old.is_same(target));
        let mut taken: Vec<HookId> = targets
            .iter()
            .filter_map(|it| Some(kept(it)?.hook.id))
            .collect();
        let mut told = Vec::new();
        for mut target in targets {
            if let Some(old) = kept(&target) {
                target.hook.id = old.hook.id;
            } else {
                // As many numbers as hooks and one more: one of them is free.
                let free = (0..=taken.len() as u32)
                    .map(HookId)
                    .find(|id| !taken.contains(id));
                target.hook.id = free.unwrap_or_default();
                taken.push(target.hook.id);
                told.push(target.hook.clone());
            }
            self.targets.push(target);
        }
        let is_kept = |id: &HookId| {
            before.iter().any(|old| {
                old.hook.id == *id && self.targets.iter().any(|target| target.is_same(old))
            })
        };
        // What their processes have mapped is looked at anew.
        self.processes.clear();
        self.last_look = None;
        let gone = self
            .attachments
            .extract_if(.., |(hook, _), _| !is_kept(hook))
            .collect();
        super::detach(gone);
        told
    }
}

#[cfg(test)]
mod tests {
    use crate::attach::Location;
    use probe_core::record::{Debounce, HookKind, HookMeaning, Returns};
    use regex::Regex;

    use super::*;

    fn target(name: &str, symbol: &str, id: u32) -> HookTarget {
        HookTarget {
            hook: Hook {
                id: HookId(id),
                name: name.to_owned(),
                role: None,
                kind: HookKind::Latency,
                returns: Returns::I32,
                positive: Vec::new(),
                timeouts: Vec::new(),
                sees_resets: false,
                debounce: Debounce::default(),
                meaning: HookMeaning::Generic,
            },
            library: Regex::new("/libx").expect("a pattern"),
            location: Location::Symbol(symbol.to_owned()),
            reset: None,
        }
    }

    fn ids(hooks: &LibraryHooks) -> Vec<(&str, u32)> {
        let targets = hooks.targets().iter();
        targets
            .map(|it| (it.hook.name.as_str(), it.hook.id.0))
            .collect()
    }

    #[test]
    fn same_hook_keeps_its_number_wherever_it_stands() {
        let mut hooks = LibraryHooks::new(vec![target("a", "f", 0), target("b", "g", 1)]);
        let told = hooks.replace(vec![target("new", "h", 0), target("b", "g", 1)]);
        assert_eq!(ids(&hooks), [("new", 0), ("b", 1)]);
        assert_eq!(told.len(), 1);
        let told = hooks.replace(vec![target("b", "g", 0)]);
        assert_eq!(ids(&hooks), [("b", 1)]);
        assert!(told.is_empty());
    }

    #[test]
    fn changed_hook_is_told_and_takes_no_number_of_one_that_stays() {
        let mut hooks = LibraryHooks::new(vec![target("a", "f", 0), target("b", "g", 1)]);
        let told = hooks.replace(vec![target("b", "g", 0), target("a", "other", 1)]);
        assert_eq!(ids(&hooks), [("b", 1), ("a", 0)]);
        let told: Vec<_> = told.iter().map(|hook| hook.name.as_str()).collect();
        assert_eq!(told, ["a"]);
    }
}
