//! Janus beside Parlor: Debian's package with a configuration of our own, as it is fastest on one core.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use parlor_bots::janus;

use super::process::Process;

/// Ports for media, outside what systems hand out by themselves. Every participant takes two.
const PORTS: (u16, u16) = (20_000, 32_000);
/// Everything but the video room.
const UNUSED_PLUGINS: [&str; 11] =
    ["audiobridge", "duktape", "echotest", "lua", "nosip", "recordplay", "sip", "streaming", "textroom", "videocall", "voicemail"];
const UNUSED_TRANSPORTS: [&str; 5] = ["http", "mqtt", "nanomsg", "pfunix", "rabbitmq"];
/// Somewhere else on the internet (RFC 5737), to learn our own address; nothing is sent there.
const ELSEWHERE: (&str, u16) = ("203.0.113.1", 9);

/// A running Janus; it is stopped when dropped.
pub struct JanusServer {
    /// The process of the server.
    pub process: Process,
    url: String,
    ip: IpAddr,
    directory: PathBuf,
}

/// The version of Janus, if it is installed.
pub fn version() -> Option<String> {
    let output = Command::new("janus").arg("--version").output().ok()?;
    read_version(&String::from_utf8_lossy(&output.stdout)).or_else(|| read_version(&String::from_utf8_lossy(&output.stderr)))
}

/// `janus 1.1.2`, or `Janus version: 1102 (1.1.2)`.
fn read_version(output: &str) -> Option<String> {
    let is_version = |word: &&str| word.contains('.') && word.split('.').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    output.split([' ', '\n', '(', ')']).find(is_version).map(str::to_owned)
}

impl JanusServer {
    /// Starts it and waits until it answers.
    pub async fn start(cores: &[usize]) -> anyhow::Result<Self> {
        // It does not use the loopback address for media.
        let ip = own_address().context("Janus needs an address besides loopback")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = std::env::temp_dir().join(format!("janus-bench-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        for (name, text) in configuration(&directory, ip, port) {
            std::fs::write(directory.join(name), text)?;
        }
        let mut command = Command::new("janus");
        command.arg("--configs-folder").arg(&directory).arg("--disable-colors");
        let process = Process::start(command, "janus", cores)?;
        let mut server = Self { process, url: format!("ws://127.0.0.1:{port}"), ip, directory };
        let is_up = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        server.process.wait_until_up(is_up).await.context("Janus cannot be measured")?;
        Ok(server)
    }

    /// The address of Janus' API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// An address to which the route is as to its media ports.
    pub const fn towards(&self) -> SocketAddr {
        SocketAddr::new(self.ip, PORTS.0)
    }

    /// Makes a video room.
    pub async fn create_room(&self, room: u64, publishers: usize) -> anyhow::Result<()> {
        Ok(janus::create_room(&self.url, room, publishers).await?)
    }
}

impl Drop for JanusServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn own_address() -> anyhow::Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Connecting a UDP socket only looks the route up.
    socket.connect(ELSEWHERE)?;
    let ip = socket.local_addr()?.ip();
    if ip.is_loopback() {
        bail!("this machine has none");
    }
    Ok(ip)
}

/// One event loop for all connections, which on one core is cheaper than its default of a thread for each; no
/// sessions that time out; nothing loaded but the video room and the WebSocket API, on loopback.
fn configuration(directory: &Path, ip: IpAddr, port: u16) -> [(&'static str, String); 3] {
    let libraries = |names: &[&str]| names.iter().map(|name| format!("libjanus_{name}.so")).collect::<Vec<_>>().join(",");
    let main = format!(
        "general: {{ configs_folder = \"{}\", debug_level = 3, session_timeout = 0, event_loops = 1 }}\n\
         nat: {{ ice_lite = true, ice_enforce_list = \"{ip}\" }}\n\
         media: {{ rtp_port_range = \"{}-{}\" }}\n\
         plugins: {{ disable = \"{}\" }}\n\
         transports: {{ disable = \"{}\" }}\n",
        directory.display(),
        PORTS.0,
        PORTS.1,
        libraries(&UNUSED_PLUGINS),
        libraries(&UNUSED_TRANSPORTS),
    );
    let websocket = format!("general: {{ json = \"compact\", ws = true, ws_port = {port}, ws_ip = \"127.0.0.1\", wss = false }}\n");
    let room = "general: { }\n".to_owned();
    [("janus.jcfg", main), ("janus.transport.websockets.jcfg", websocket), ("janus.plugin.videoroom.jcfg", room)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_either_form() {
        assert_eq!(read_version("janus 1.1.2\n").as_deref(), Some("1.1.2"));
        assert_eq!(read_version("Janus version: 1102 (1.1.2)\nJanus commit: x").as_deref(), Some("1.1.2"));
        assert_eq!(read_version("no such thing."), None);
    }

    #[test]
    fn the_api_is_on_loopback_only() {
        let files = configuration(Path::new("/tmp/x"), [192, 0, 2, 2].into(), 4711);
        let (_, websocket) = files.iter().find(|(name, _)| name.contains("websockets")).expect("a file");
        assert!(websocket.contains("ws_ip = \"127.0.0.1\"") && websocket.contains("ws_port = 4711"));
    }
}
