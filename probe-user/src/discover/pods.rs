//! Which pod a container belongs to, from the names that the kubelet gives its links to containers'
//! logs: `<pod>_<namespace>_<container>-<container id>.log`. Neither the API server nor a log is read.
//! Source: kubelet, `pkg/kubelet/kuberuntime/legacy.go`.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::container::{ContainerId, is_hexadecimal};

/// Names read at most: a node has a hundred pods of a few containers.
const MAX_NAMES: usize = 8192;

/// Containers whose pods are remembered.
const MAX_KNOWN: usize = 1024;

/// The folder is read at most so often.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Fewest letters of an id that tell containers of one host apart.
const LEAST_LETTERS: usize = 12;

/// A container's place in Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodContainer {
    /// Namespace of its pod.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
    /// Its name in the pod.
    pub container: String,
}

/// The containers that the kubelet of this node runs.
#[derive(Debug)]
pub struct Pods {
    folder: PathBuf,
    known: BTreeMap<ContainerId, PodContainer>,
    looked: Option<Instant>,
}

impl Pods {
    /// Reads the names in this folder. Without it, as outside of Kubernetes, no container has a pod.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            known: BTreeMap::new(),
            looked: None,
        }
    }

    /// The pod of a container; `None` while the kubelet has not told.
    pub fn find(&mut self, id: &ContainerId, now: Instant) -> Option<&PodContainer> {
        let is_due = self
            .looked
            .is_none_or(|looked| now.duration_since(looked) >= LOOK_INTERVAL);
        if !self.known.contains_key(id) && is_due {
            self.looked = Some(now);
            self.look(id);
        }
        self.known.get(id)
    }

    fn look(&mut self, id: &ContainerId) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        let found = entries.flatten().take(MAX_NAMES).find_map(|entry| {
            let name = entry.file_name();
            let (pod, start_of_id) = parse(name.to_str()?)?;
            id.as_str().starts_with(&start_of_id).then_some(pod)
        });
        if let Some(pod) = found {
            if self.known.len() >= MAX_KNOWN {
                self.known.pop_first();
            }
            self.known.insert(id.clone(), pod);
        }
    }
}

/// A link's name: the container, and its id or the beginning of it, since names longer than a file's
/// may be are cut off.
fn parse(name: &str) -> Option<(PodContainer, String)> {
    let (names, id) = name.strip_suffix(".log")?.rsplit_once('-')?;
    if id.len() < LEAST_LETTERS || !is_hexadecimal(id) {
        return None;
    }
    let mut names = names.split('_');
    let (pod, namespace, container) = (names.next()?, names.next()?, names.next()?);
    let are_names = [pod, namespace, container].into_iter().all(is_name);
    (names.next().is_none() && are_names).then(|| {
        let container = PodContainer {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            container: container.to_owned(),
        };
        (container, id.to_owned())
    })
}

/// Whether Kubernetes allows it as a name (RFC 1123; a pod's has dots too).
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    !text.is_empty() && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(letter: char) -> ContainerId {
        ContainerId::parse(&String::from(letter).repeat(64)).unwrap()
    }

    fn lies(folder: &std::path::Path, pod: &str, id: &str) {
        std::fs::write(folder.join(format!("{pod}-{id}.log")), "").unwrap();
    }

    #[test]
    fn container_is_found_by_its_id_when_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut pods = Pods::new(folder.path().to_owned());
        let start = Instant::now();
        assert_eq!(pods.find(&id('a'), start), None);
        lies(folder.path(), "tts-0_voice_worker", id('a').as_str());
        lies(folder.path(), "tts-1_voice_worker", id('b').as_str());
        assert_eq!(pods.find(&id('a'), start), None, "looked a moment ago");
        let later = start + LOOK_INTERVAL;
        let expected = PodContainer {
            namespace: "voice".to_owned(),
            pod: "tts-0".to_owned(),
            container: "worker".to_owned(),
        };
        assert_eq!(pods.find(&id('a'), later), Some(&expected));
        assert_eq!(pods.find(&id('c'), later + LOOK_INTERVAL), None);
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert_eq!(pods.find(&id('a'), later), Some(&expected), "remembered");
    }

    #[test]
    fn names_that_are_cut_off_are_matched_as_far_as_they_go() {
        let folder = tempfile::tempdir().unwrap();
        let pod = format!("{}_voice_worker", "p".repeat(200));
        lies(folder.path(), &pod, &"a".repeat(20));
        let mut pods = Pods::new(folder.path().to_owned());
        let found = pods.find(&id('a'), Instant::now()).unwrap();
        assert_eq!(found.pod.len(), 200);
    }

    #[test]
    fn other_files_are_passed_over() {
        let whole = "a".repeat(64);
        for name in [
            "syslog.log".to_owned(),
            format!("tts-0_voice-{whole}.log"),
            format!("tts-0_voice_worker_more-{whole}.log"),
            format!("tts-0_voice_worker-{whole}"),
            format!("tts-0__worker-{whole}.log"),
            format!("TTS_voice_worker-{whole}.log"),
            "tts-0_voice_worker-abc.log".to_owned(),
        ] {
            assert_eq!(parse(&name), None, "{name}");
        }
    }
}
