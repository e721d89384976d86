//! `parlor-bots turn`: what a relayed packet costs the embedded TURN server, beside coturn in the same run, and what an allocation
//! takes of memory.

mod load;
mod memory;
mod report;
mod servers;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::bench::Cores;
use crate::signal::raise_open_files;
use load::{Form, Load};
use report::Report;
use servers::{Measured, Server};

/// Allocations whose memory is measured.
const HELD: usize = 10_000;
/// Payloads of the packets: sound, and a full packet of video.
const SIZES: [usize; 2] = [100, 1_200];

/// The server that is measured beside ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Peers {
    /// coturn from Debian, if it is installed
    Coturn,
    /// Nobody
    None,
}

/// The arguments of `turn`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The server to measure
    #[arg(long, env = "PARLOR_BIN", value_name = "FILE", default_value = "target/release/parlor")]
    server: PathBuf,
    /// The server to measure beside it
    #[arg(long, value_enum, default_value = "coturn")]
    peers: Peers,
    /// A quick look instead of a measurement
    #[arg(long)]
    short: bool,
    /// Clients with an allocation each
    #[arg(long, default_value_t = 50, value_name = "N")]
    clients: usize,
    /// Packets relayed a second, half of them to peers and half to clients
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    rate: usize,
    /// Allocations to hold, to see what they take of memory; 0: that is left out
    #[arg(long, default_value_t = HELD, value_name = "N")]
    held: usize,
    /// Length of each measurement
    #[arg(long, default_value_t = 8, value_name = "N")]
    seconds: u64,
    /// Write the results here too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Arguments {
    /// The cores to bind to, as for `bench`.
    pub fn cores(&self) -> Option<Cores> {
        Cores::unless(self.short)
    }

    fn load(&self, form: Form, size: usize) -> Load {
        match self.short {
            true => Load { form, size, clients: 5, rate: 2_000, window: Duration::from_secs(1) },
            false => {
                Load { form, size, clients: self.clients.max(1), rate: self.rate.max(1), window: Duration::from_secs(self.seconds.max(1)) }
            }
        }
    }
}

/// Measures everything and prints the table.
pub async fn run(arguments: Arguments, cores: Option<Cores>) -> anyhow::Result<()> {
    let held = if arguments.short { 200 } else { arguments.held };
    raise_open_files(held.max(arguments.clients))?;
    let cores: Vec<usize> = cores.iter().map(|cores| cores.server).collect();
    let mut report = Report::new(arguments.short);
    let mut servers = vec![Server::Parlor(arguments.server.clone())];
    match (arguments.peers, servers::coturn_version()) {
        (Peers::Coturn, Some(_)) => servers.push(Server::Coturn),
        (Peers::Coturn, None) => report.note("coturn is not installed, so nothing is measured beside ours"),
        (Peers::None, _) => {}
    }
    for form in [Form::Channels, Form::Indications] {
        for size in SIZES {
            for server in &servers {
                let load = arguments.load(form, size);
                eprintln!("{load} through {server}…");
                let peer = load::peer()?;
                let measured = Measured::start(server, &cores, peer.local_addr()?).await?;
                let row = load.run(&measured, peer).with_context(|| format!("{server} said:\n{}", measured.process.output()))?;
                report.add(server, &load, row);
            }
        }
    }
    if held == 0 {
        print!("{report}");
        return report.verdict();
    }
    eprintln!("{held} allocations…");
    let measured = Measured::start(&Server::Parlor(arguments.server.clone()), &cores, load::peer()?.local_addr()?).await?;
    report.memory(held, memory::measure(&measured, held).with_context(|| format!("the server said:\n{}", measured.process.output()))?);
    print!("{report}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    report.verdict()
}
