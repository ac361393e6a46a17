//! The endpoint with TLS and a password: a real Prometheus scrapes it, and its own tool takes the file.

use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::probe::Probe;
use probe_tests::process::eventually;
use probe_tests::skip::{program, unprivileged};

use crate::live::servers;
use crate::promtool::succeed;

/// How long a scrape may take to come and to be seen.
const SCRAPED: Duration = Duration::from_secs(20);

/// A web configuration with a certificate for `localhost` and the user `prometheus`, whose password is
/// `secret`.
fn web_configuration(lab: &Lab) {
    let names = ["localhost".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).expect("a certificate");
    lab.write("cert.pem", certified.cert.pem());
    lab.write("key.pem", certified.signing_key.serialize_pem());
    let hash = bcrypt::hash("secret", 4).expect("a hash");
    let text = format!(
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  min_version: TLS13\n\
         basic_auth_users:\n  prometheus: {hash}\n"
    );
    lab.write("web.yml", text);
}

#[test]
fn prometheus_tool_takes_the_web_configuration() {
    let Some(promtool) = program("promtool") else {
        return;
    };
    let lab = Lab::new();
    web_configuration(&lab);
    succeed(&promtool, &["check", "web-config"], &[lab.path("web.yml")]);
}

#[test]
fn prometheus_scrapes_by_tls_with_the_password_and_not_without() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    web_configuration(&lab);
    let settings = lab.write("voxprobe.toml", "[http]\nweb_config = \"web.yml\"\n");
    let mut command = Command::new(artifacts::voxprobe());
    command.args(["run", "--config"]).arg(settings);
    let probe = Probe::serve(&lab, command);
    let job = |password: &str| {
        let (ca, address) = (lab.path("cert.pem"), probe.address());
        format!(
            "    scheme: https\n    tls_config: {{ ca_file: '{}', server_name: localhost }}\n    \
             basic_auth: {{ username: prometheus, password: {password} }}\n    \
             static_configs: [{{ targets: ['{address}'] }}]\n",
            ca.display()
        )
    };
    let Some(prometheus) = servers::prometheus_with(&lab, &job("secret")) else {
        return;
    };
    let up = || {
        prometheus
            .query("up == 1 and on () voxprobe_build_info")
            .len()
            == 1
    };
    assert!(
        eventually(SCRAPED, up),
        "{} {}",
        prometheus.log(),
        probe.log()
    );

    let other = Lab::new();
    let refused = servers::prometheus_with(&other, &job("wrong")).expect("it was there");
    let down = || refused.query("up == 0").len() == 1;
    assert!(eventually(SCRAPED, down), "{}", refused.log());
    assert!(refused.query("voxprobe_build_info").is_empty());
}
