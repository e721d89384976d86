//! A deployment of three hosts: a server with a private address, a router that has the public one and everything in between, and a
//! visitor. Each is a network namespace, and all of them go with the process.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use serde_json::Value;

/// Tells a test that it runs in namespaces of its own.
const INSIDE: &str = "PARLOR_DOCTOR_INSIDE";
/// The directory of a world, on a file system that only it sees.
const DIRECTORY: &str = "/run/world";

/// The address of the server, which nobody outside can reach.
pub const SERVER: &str = "10.0.0.5";
/// The public address, of the router.
pub const PUBLIC: &str = "11.22.33.44";
/// The address of the TURN server, on the router too.
pub const RELAY: &str = "11.22.33.45";
/// The name of the page.
pub const NAME: &str = "voice.example.com";
/// The secret by which tokens are signed.
pub const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c";
/// The secret of the TURN server.
pub const TURN_SECRET: &str = "5b3f0d6c-a-secret-of-coturn";

/// The name of the authority that the visitor trusts.
const AUTHORITY: &str = "Authority";

/// The hosts. What is not done by the router is done by programs in `ip netns exec`.
const HOSTS: &str = "
set -e
mount -t tmpfs none /run
mkdir -p /run/world
printf '127.0.0.1 localhost\\n11.22.33.44 voice.example.com\\n11.22.33.45 turn.example.com\\n' > /run/world/hosts
echo 'hosts: files' > /run/world/nsswitch.conf
mount --bind /run/world/hosts /etc/hosts
mount --bind /run/world/nsswitch.conf /etc/nsswitch.conf
ip link set lo up
for host in server visitor; do
  ip netns add $host
  ip link add $host type veth peer name eth0 netns $host
  ip -n $host link set lo up
done
ip address add 10.0.0.1/24 dev server
ip address add 11.22.33.44/24 dev visitor
ip address add 11.22.33.45/24 dev visitor
ip link set server up
ip link set visitor up
ip -n server address add 10.0.0.5/24 dev eth0
ip -n server link set eth0 up
ip -n server route add default via 10.0.0.1
ip -n visitor address add 11.22.33.99/24 dev eth0
ip -n visitor link set eth0 up
ip -n visitor route add default via 11.22.33.44
echo 1 > /proc/sys/net/ipv4/ip_forward
nft -f - <<'RULES'
table ip nat {
  chain in { type nat hook prerouting priority -100; ip daddr 11.22.33.44 meta l4proto { tcp, udp } th dport 7401 dnat to 10.0.0.5; }
  chain own { type nat hook output priority -100; ip daddr 11.22.33.44 meta l4proto { tcp, udp } th dport 7401 dnat to 10.0.0.5; }
}
table inet wall {
  chain through { type filter hook forward priority 0; ct status dnat accept; iifname visitor drop; }
  chain own { type filter hook output priority 0; }
}
RULES
";

/// Runs a test in namespaces of its own: in a second process, because they are those of a process.
pub fn inside<F: Future<Output = ()>>(test: &str, body: impl FnOnce(World) -> F) {
    if std::env::var_os(INSIDE).is_none() {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.arg(std::env::current_exe().expect("known")).args([test, "--exact", "--nocapture"]).env(INSIDE, "1");
        let output = command.output().expect("unshare is there");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (said(&output.stdout), said(&output.stderr));
        assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
        return;
    }
    shell(HOSTS);
    authority();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("starts");
    runtime.block_on(body(World { children: Vec::new() }));
    runtime.shutdown_background();
}

fn shell(script: &str) {
    let output = Command::new("sh").args(["-c", script]).output().expect("a shell");
    assert!(output.status.success(), "{}: ip and nft are needed (Debian's iproute2 and nftables)", String::from_utf8_lossy(&output.stderr));
}

/// A program that is ended with the world.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The hosts and what runs on them.
pub struct World {
    children: Vec<Running>,
}

impl World {
    /// Adds a rule to the router, before those there are: `through` is what passes it, `own` what it sends itself.
    pub fn rule(&self, rule: &str) {
        shell(&format!("nft insert rule inet wall {rule}"));
    }

    /// Starts Parlor on the server. These lines of the configuration replace those of the same key.
    pub async fn parlor(&mut self, changes: &[(&str, &str)]) {
        let listen = ["--http-listen", "0.0.0.0:7400", "--media-port", "7401", "--media-workers", "1", "--listen-ip", SERVER];
        let file = configuration("server.toml", changes);
        let mut command = on("server", &["serve", "--config", &file]);
        command.args(listen).stdout(Stdio::null()).stderr(Stdio::null());
        self.children.push(Running(command.spawn().expect("starts")));
        answers(SERVER, 7400).await;
    }

    /// Starts coturn with this secret, and more options.
    pub async fn coturn(&mut self, secret: &str, more: &[&str]) {
        let (chain, key) = Certificate::fitting("turn.example.com").write("turn");
        let mut command = Command::new("turnserver");
        command.args(["-n", "--use-auth-secret", "--realm=parlor.test", "--no-cli", "--no-dtls", "--log-file=stdout", "--simple-log"]);
        command.args([format!("--listening-ip={RELAY}"), format!("--relay-ip={RELAY}"), format!("--static-auth-secret={secret}")]);
        command.args([format!("--cert={chain}"), format!("--pkey={key}"), format!("--userdb={DIRECTORY}/turndb")]);
        command.arg(format!("--pidfile={DIRECTORY}/turn.pid")).args(more).current_dir(DIRECTORY);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.children.push(Running(command.spawn().expect("turnserver is installed (Debian's package coturn)")));
        answers(RELAY, 5349).await;
    }

    /// Has the visitor check the page at this address, with the configuration of the server.
    pub async fn doctor(&self, url: &str) -> Findings {
        self.doctor_with(url, &[]).await
    }

    /// The same with another configuration than the server has.
    pub async fn doctor_with(&self, url: &str, changes: &[(&str, &str)]) -> Findings {
        let file = configuration("visitor.toml", changes);
        let mut command = on("visitor", &["doctor", url, "--json", "--channel", "lobby", "--config", &file]);
        command.args(["--ca", &authority_file()]);
        let output = tokio::task::spawn_blocking(move || command.output().expect("runs")).await.expect("no panic");
        Findings::of(&output)
    }
}

/// Parlor's binary on a host.
fn on(host: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host, env!("CARGO_BIN_EXE_parlor")]).args(arguments).current_dir(DIRECTORY);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PARLOR_") || name.starts_with("TURN_")) {
        command.env_remove(name);
    }
    command
}

/// Waits until something listens.
async fn answers(host: &str, port: u16) {
    parlor_testkit::wait::until("it listens", async || tokio::net::TcpStream::connect((host, port)).await.is_ok()).await;
}

/// Writes a configuration; answers its path.
fn configuration(name: &str, changes: &[(&str, &str)]) -> String {
    let lines = [
        ("auth.secret", format!("{SECRET:?}")),
        ("api.trusted_proxies", "[\"10.0.0.1\"]".to_owned()),
        ("media.announced_ip", format!("[{PUBLIC:?}]")),
        ("store.url", "\"sqlite::memory:\"".to_owned()),
        ("turn.provider", "\"coturn\"".to_owned()),
        ("turn.secret", format!("{TURN_SECRET:?}")),
        (
            "turn.urls",
            "[\"turn:turn.example.com\", \"turn:turn.example.com?transport=tcp\", \"turns:turn.example.com?transport=tcp\"]".to_owned(),
        ),
        ("channels", "[{ id = \"lobby\" }]".to_owned()),
    ];
    let text: Vec<String> = lines
        .iter()
        .map(|(key, value)| {
            let change = changes.iter().find(|(changed, _)| changed == key);
            format!("{key} = {}", change.map_or(value.as_str(), |(_, value)| value))
        })
        .collect();
    let path = format!("{DIRECTORY}/{name}");
    fs::write(&path, text.join("\n")).expect("written");
    path
}

/// What the doctor found.
pub struct Findings {
    /// The exit code.
    pub code: i32,
    all: Value,
    said: String,
}

impl Findings {
    fn of(output: &Output) -> Self {
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let all = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        Self { code: output.status.code().expect("ended"), all, said }
    }

    /// The faults with this verdict, in their order.
    pub fn with(&self, verdict: &str) -> Vec<&str> {
        let findings = self.all["findings"].as_array().expect("findings").iter();
        findings.filter(|finding| finding["verdict"] == verdict).map(|finding| finding["fault"].as_str().unwrap_or_default()).collect()
    }

    /// Asserts that these faults, and no others, are called broken, and that the first of them is explained with this word.
    #[track_caller]
    pub fn are_broken(&self, faults: &[&str], word: &str) {
        assert_eq!(self.with("broken"), faults, "{}", self.said);
        let findings = self.all["findings"].as_array().expect("findings");
        let first = findings.iter().find(|finding| finding["verdict"] == "broken").expect("one");
        assert!(first["fix"].as_str().is_some_and(|fix| fix.contains(word)), "{word}: {}", self.said);
        assert_eq!(self.code, 1, "{}", self.said);
    }

    /// Asserts that nothing is broken, and that these faults are warned of.
    #[track_caller]
    pub fn are_warnings(&self, faults: &[&str]) {
        assert_eq!((self.with("broken"), self.with("warning")), (Vec::new(), faults.to_vec()), "{}", self.said);
        assert_eq!(self.code, 0, "{}", self.said);
    }

    /// How many steps were not tried.
    pub fn skipped(&self) -> usize {
        self.with("skipped").len()
    }
}

/// A certificate with its key.
pub struct Certificate {
    /// In DER.
    pub chain: Vec<u8>,
    /// In DER (PKCS #8).
    pub key: Vec<u8>,
}

impl Certificate {
    /// One for a name, by the authority that the visitor trusts.
    pub fn fitting(name: &str) -> Self {
        Self::made(name, 2090, &authority())
    }

    /// One that has ended.
    pub fn expired(name: &str) -> Self {
        Self::made(name, 2021, &authority())
    }

    /// One by an authority that nobody trusts.
    pub fn strange(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(parameters("Strangers"), KeyPair::generate().expect("a key")).expect("signed");
        Self::made(name, 2090, &issuer)
    }

    fn made(name: &str, until: i32, issuer: &CertifiedIssuer<'_, KeyPair>) -> Self {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        (parameters.not_before, parameters.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let chain = parameters.signed_by(&key, issuer).expect("signed").der().to_vec();
        Self { chain, key: key.serialize_der() }
    }

    /// Writes both in PEM; answers their paths.
    fn write(&self, name: &str) -> (String, String) {
        let (chain, key) = (format!("{DIRECTORY}/{name}.pem"), format!("{DIRECTORY}/{name}.key"));
        fs::write(&chain, pem("CERTIFICATE", &self.chain)).expect("written");
        fs::write(&key, pem("PRIVATE KEY", &self.key)).expect("written");
        (chain, key)
    }
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}

/// The authority that the visitor trusts. It is made once and kept.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let path = PathBuf::from(DIRECTORY).join("authority.key");
    if let Ok(key) = fs::read(&path) {
        let key = KeyPair::try_from(key).expect("a key");
        return CertifiedIssuer::self_signed(parameters(AUTHORITY), key).expect("signed");
    }
    let issuer = CertifiedIssuer::self_signed(parameters(AUTHORITY), KeyPair::generate().expect("a key")).expect("signed");
    fs::write(&path, issuer.key().serialize_der()).expect("written");
    fs::write(authority_file(), pem("CERTIFICATE", issuer.der())).expect("written");
    issuer
}

fn authority_file() -> String {
    format!("{DIRECTORY}/authority.pem")
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", BASE64_STANDARD.encode(der))
}
