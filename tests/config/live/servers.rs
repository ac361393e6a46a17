//! Real Prometheus and Alertmanager on copies of the shipped configuration.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use probe_tests::lab::Lab;
use probe_tests::process::{Process, eventually};
use probe_tests::skip::{program, skip};
use serde_json::Value;

use super::http::{encoded, get, json};
use super::scale::{faster, sooner};
use crate::rules::{config, files, guide, read};

/// How long a server may take to answer on a busy machine.
const START: Duration = Duration::from_secs(30);

/// How old a sample may be that an instant query gives: the usual five minutes, scaled.
const LOOKBACK: &str = "15s";

/// Where the package's Alertmanager looks for its templates, whatever its configuration says.
const TEMPLATES: &str = "/usr/share/prometheus/alertmanager/default.tmpl";

/// Where the shipped configuration looks for secrets.
const SECRETS: &str = "/etc/alertmanager/secrets/";

/// Most characters of a log that a failed test shows: its end.
const SHOWN: usize = 2000;

/// A running server.
pub(crate) struct Server {
    process: Process,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Server {
    fn start(lab: &Lab, mut command: Command, address: SocketAddr) -> Self {
        let log = lab.fresh("server.err");
        let mut server = Self {
            process: Process::start(&mut command, &log),
            address,
            log,
        };
        let mut ready = false;
        let ended = eventually(START, || {
            ready = matches!(get(address, "/-/ready"), Some((200, _)));
            ready || !server.process.is_running()
        });
        assert!(ended && ready, "{command:?}: {}", server.log());
        server
    }

    /// The end of what it logged.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let skipped = text.chars().count().saturating_sub(SHOWN);
        text.chars().skip(skipped).collect()
    }

    /// Series and values that an instant query gives.
    pub(crate) fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let path = format!("/api/v1/query?query={}", encoded(expression));
        let answer = json(self.address, &path);
        let result = answer["data"]["result"].as_array().cloned();
        let series = result.unwrap_or_else(|| panic!("{expression}: {answer}"));
        let value = |one: &Value| one["value"][1].as_str().and_then(|text| text.parse().ok());
        series
            .iter()
            .map(|one| (one["metric"].clone(), value(one).expect("a value")))
            .collect()
    }

    /// What a range query gives from a time until now.
    pub(super) fn range(&self, expression: &str, since: SystemTime, step: &str) -> Value {
        let seconds = |at: SystemTime| {
            let since = at.duration_since(UNIX_EPOCH).expect("a time");
            since.as_secs_f64()
        };
        let path = format!(
            "/api/v1/query_range?query={}&start={}&end={}&step={step}",
            encoded(expression),
            seconds(since),
            seconds(SystemTime::now())
        );
        let answer = json(self.address, &path);
        assert!(
            answer["data"]["result"].is_array(),
            "{expression}: {answer}"
        );
        answer["data"]["result"].clone()
    }

    /// State of an alert: inactive, pending or firing.
    pub(super) fn state(&self, alert: &str) -> String {
        let answer = json(self.address, "/api/v1/rules?type=alert");
        let groups = answer["data"]["groups"].as_array().expect("groups");
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        let mut found = rules.flatten().filter(|rule| rule["name"] == alert);
        let state = found.next().and_then(|rule| rule["state"].as_str());
        state
            .unwrap_or_else(|| panic!("no alert {alert}"))
            .to_owned()
    }

    /// What is said where an alert fires: its labels and annotations.
    pub(super) fn alerts(&self, alert: &str) -> Vec<Value> {
        let answer = json(self.address, "/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().expect("alerts");
        let is_it = |one: &&Value| one["labels"]["alertname"] == alert && one["state"] == "firing";
        alerts.iter().filter(is_it).cloned().collect()
    }

    /// Rules whose last evaluation failed, each with why.
    pub(super) fn broken_rules(&self) -> Vec<String> {
        let answer = json(self.address, "/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().expect("groups");
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        rules
            .flatten()
            .filter(|rule| rule["health"] == "err")
            .map(|rule| format!("{}: {}", rule["name"], rule["lastError"]))
            .collect()
    }
}

/// Prometheus with the shipped configuration and rules, a twentieth as slow, on this agent.
pub(crate) fn prometheus(lab: &Lab, agent: SocketAddr, alertmanager: SocketAddr) -> Option<Server> {
    let binary = program("prometheus")?;
    let folder = lab.path("prometheus");
    for part in ["rules", "targets"] {
        fs::create_dir_all(folder.join(part)).expect("make a folder");
    }
    let shipped = config().join("prometheus");
    copy_faster(&shipped.join("prometheus.yml"), &folder);
    for file in files(&shipped.join("rules"), "yml") {
        copy_faster(&file, &folder.join("rules"));
    }
    for (name, ours, real) in [
        ("voxprobe.yml", "127.0.0.1:9781", agent),
        ("alertmanager.yml", "127.0.0.1:9093", alertmanager),
    ] {
        let text = fs::read_to_string(shipped.join("targets").join(name)).expect("targets");
        assert!(text.contains(ours), "{name} names {ours}");
        let text = text.replace(ours, &real.to_string());
        fs::write(folder.join("targets").join(name), text).expect("write targets");
    }
    Some(start_prometheus(lab, &binary, &folder))
}

/// Prometheus with the guide's alerts on this agent: names, expressions, labels and annotations word for word,
/// `for` and `interval` a twentieth.
pub(super) fn prometheus_of_guide(lab: &Lab, agent: SocketAddr) -> Option<Server> {
    let binary = program("prometheus")?;
    let folder = lab.path("guide");
    fs::create_dir_all(&folder).expect("make a folder");
    let theirs = guide("alerts.yml");
    let text = fs::read_to_string(&theirs).expect("the guide's alerts");
    let copy = folder.join("alerts.yml");
    fs::write(&copy, sooner(&text)).expect("write the copy");
    assert_eq!(read(&copy), read(&theirs), "nothing else is edited");
    let text = format!(
        "global: {{ scrape_interval: 15s, evaluation_interval: 15s }}\n\
         scrape_configs: [{{ job_name: voxprobe, static_configs: [{{ targets: ['{agent}'] }}] }}]\n\
         rule_files: [alerts.yml]\n"
    );
    fs::write(folder.join("prometheus.yml"), faster(&text).0).expect("write a configuration");
    Some(start_prometheus(lab, &binary, &folder))
}

/// Prometheus with one job, `voxprobe`, that is written so.
pub(crate) fn prometheus_with(lab: &Lab, job: &str) -> Option<Server> {
    let binary = program("prometheus")?;
    let folder = lab.path("plain");
    fs::create_dir_all(&folder).expect("make a folder");
    let text = format!("scrape_configs:\n  - job_name: voxprobe\n    scrape_interval: 1s\n{job}");
    fs::write(folder.join("prometheus.yml"), text).expect("write a configuration");
    Some(start_prometheus(lab, &binary, &folder))
}

fn start_prometheus(lab: &Lab, binary: &Path, folder: &Path) -> Server {
    let address = free_address();
    let mut command = Command::new(binary);
    command
        .arg("--config.file")
        .arg(folder.join("prometheus.yml"))
        .arg("--storage.tsdb.path")
        .arg(folder.join("data"))
        .arg(format!("--web.listen-address={address}"))
        .arg(format!("--query.lookback-delta={LOOKBACK}"))
        .arg("--log.level=warn");
    Server::start(lab, command, address)
}

/// Alertmanager with the shipped configuration, a twentieth as slow; its Slack is this URL.
pub(super) fn alertmanager(lab: &Lab, slack: &str) -> Option<Server> {
    let binary = program("prometheus-alertmanager")?;
    let folder = lab.path("alertmanager");
    fs::create_dir_all(folder.join("secrets")).expect("make a folder");
    copy_faster(&config().join("alertmanager/alertmanager.yml"), &folder);
    let file = folder.join("alertmanager.yml");
    let text = fs::read_to_string(&file).expect("the copy");
    assert!(text.contains(SECRETS), "secrets lie in {SECRETS}");
    let ours = folder.join("secrets/").to_string_lossy().into_owned();
    fs::write(&file, text.replace(SECRETS, &ours)).expect("write the copy");
    for (file, secret) in [
        ("slack_webhook_url", slack),
        ("pagerduty_service_key", "key"),
    ] {
        fs::write(folder.join("secrets").join(file), secret).expect("write a secret");
    }
    let address = free_address();
    let mut command = unpacked(&binary)?;
    command
        .arg(format!(
            "--config.file={}",
            folder.join("alertmanager.yml").display()
        ))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        // No cluster.
        .arg("--cluster.listen-address=")
        .arg("--log.level=warn");
    Some(Server::start(lab, command, address))
}

/// The program as it is installed; or, where setup unpacked it without installing, in a mount
/// namespace of its own that has its templates where it looks for them. `None`, and said, where
/// neither can be.
fn unpacked(binary: &Path) -> Option<Command> {
    if Path::new(TEMPLATES).exists() {
        return Some(Command::new(binary));
    }
    let tools = binary.parent().and_then(Path::parent)?;
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg("mount -t overlay templates -o \"lowerdir=$1:/usr/share\" /usr/share && shift && exec \"$@\"")
        .arg("sh")
        .arg(tools.join("share"))
        .arg(binary);
    let mut trial = Command::new(command.get_program());
    let allowed = trial
        .args(command.get_args())
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !allowed {
        skip("Alertmanager's templates need a mount namespace, which is refused here");
    }
    allowed.then_some(command)
}

fn copy_faster(file: &Path, folder: &Path) {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let (text, durations) = faster(&text);
    assert!(durations > 0, "{} has no durations", file.display());
    let name = file.file_name().expect("a file's name");
    fs::write(folder.join(name), text).expect("write a copy");
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("bound")
}
