//! The media threads: one socket set and one `Sfu` each, and the pool that gives rooms a place on them.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use parlor_sfu::TalkersConfig;
use tokio::sync::mpsc;

use crate::config;
use crate::media::net::{addresses, sockets};
use crate::media::placement::Placement;
use crate::media::told::Told;
use crate::media::worker::handle::{Addresses, Counters, Phase, WAKER, WorkerHandle};
use crate::media::worker::{Mail, Settings, Worker, pipes};

/// The most commands that wait for a worker. It empties the queue within milliseconds; rooms wait while it is full.
const COMMAND_QUEUE: usize = 1024;

/// How often a thread that is to end is asked whether it has ended; ending takes about as long.
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// How far from ports in use others are looked for: beyond those of as many workers as there may be.
const BESIDE: u16 = 1_000;

/// All media threads.
#[derive(Debug)]
pub struct Pool {
    workers: Arc<[WorkerHandle]>,
    /// What the addresses of the start were chosen from.
    interfaces: Vec<IpAddr>,
    listen: Vec<IpAddr>,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    /// Binds the ports and starts the threads. `told` are the addresses that clients are told, `http` the ports that HTTP of
    /// this process listens on.
    pub fn start(config: &config::Media, told: &Told, http: &[u16]) -> anyhow::Result<Self> {
        let interfaces = addresses::interface_addresses().context("cannot list the network interfaces")?;
        let bindings = addresses::plan(&interfaces, &config.listen_ip, told);
        let count = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(config::MAX_WORKERS),
            count => count,
        };
        let polls = (0..count).map(|_| mio::Poll::new()).collect::<Result<Vec<_>, _>>()?;
        let wakers = polls.iter().map(|poll| Ok(Arc::new(mio::Waker::new(poll.registry(), WAKER)?)));
        let wakers = wakers.collect::<std::io::Result<Vec<_>>>()?;
        let ends = pipes::connect(&wakers);
        let (mut workers, mut threads) = (Vec::new(), Vec::new());
        for (index, ((poll, waker), pipes)) in polls.into_iter().zip(wakers).zip(ends).enumerate() {
            let port = if config.port == 0 { 0 } else { config.port.saturating_add(u16::try_from(index).unwrap_or(u16::MAX)) };
            let core = Core { index, poll, waker, pipes };
            let (worker, handle) = prepare(core, &bindings, port, config, http)?;
            threads.push(std::thread::Builder::new().name(format!("media-{index}")).spawn(move || worker.run())?);
            workers.push(handle);
        }
        let listen = config.listen_ip.clone();
        Ok(Self { workers: workers.into(), interfaces, listen, threads: std::sync::Mutex::new(threads) })
    }

    /// Has clients told these addresses from now on. Sockets stay as they are: an address of a family that was not told from the
    /// start has none, and is left out.
    pub async fn tell(&self, told: &Told) {
        let bindings = addresses::plan(&self.interfaces, &self.listen, told);
        for worker in self.workers.iter() {
            worker.tell(&bindings).await;
        }
    }

    /// Places a room on the worker with the fewest routers. A worker that has just lost all of its own has the fewest
    /// and is the worst choice: it is taken only if all are resting.
    pub fn place(&self) -> Option<Placement> {
        let order = |w: &WorkerHandle| (w.phase.resting.load(Ordering::Relaxed), w.rooms.load(Ordering::Relaxed));
        let (primary, _) = self.workers.iter().enumerate().min_by_key(|(_, worker)| order(worker))?;
        Some(Placement::new(Arc::clone(&self.workers), primary))
    }

    /// All workers.
    pub fn workers(&self) -> &[WorkerHandle] {
        &self.workers
    }

    /// Ends the threads, as [`Pool::stop`] does, without keeping the task's thread waiting.
    pub async fn end(self: Arc<Self>, deadline: tokio::time::Instant) -> Vec<String> {
        let hung = tokio::task::spawn_blocking(move || self.stop(deadline.into_std())).await.unwrap_or_default();
        for thread in &hung {
            tracing::error!(thread, "a media thread does not end; it goes with the process");
        }
        hung
    }

    /// Ends the threads and waits for them until the deadline; returns the names of those that did not end. Such a
    /// thread is left alone, and goes with the process.
    pub fn stop(&self, deadline: Instant) -> Vec<String> {
        let mut threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for worker in self.workers.iter() {
            // A flag and not a command, because the command queues may be full.
            worker.phase.stopping.store(true, Ordering::Relaxed);
            let _ = worker.waker.wake();
        }
        for thread in &threads {
            // Wakes a thread that pauses after a panic.
            thread.thread().unpark();
        }
        loop {
            // The threads are asked and not joined, because joining waits without limit.
            threads.retain(|thread| !thread.is_finished());
            if threads.is_empty() || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(ASK_AGAIN);
        }
        threads.iter().map(|thread| thread.thread().name().unwrap_or_default().to_owned()).collect()
    }
}

/// The parts of a worker that exist before its sockets.
struct Core {
    index: usize,
    poll: mio::Poll,
    waker: Arc<mio::Waker>,
    pipes: pipes::Pipes,
}

fn prepare(
    core: Core,
    bindings: &[addresses::Binding],
    port: u16,
    config: &config::Media,
    http: &[u16],
) -> anyhow::Result<(Worker, WorkerHandle)> {
    let Core { index, poll, waker, pipes } = core;
    let (bound, port) = sockets::bind_all(bindings, port, config.socket_buffer).map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => {
            let whose = match http.contains(&port) {
                true => "the HTTP of this server itself (http.listen). Choose another port for that with `--http-listen`, or other ports for media",
                false => "another program (or another Parlor). Stop it, or choose other ports",
            };
            anyhow::anyhow!("media port {port} is in use by {whose} with `--media-port {}`", config.port.saturating_add(BESIDE))
        }
        _ => anyhow::Error::new(e).context(format!("cannot open media port {port}")),
    })?;
    // The plane is made and thrown away, so that a problem with the addresses is reported now, and not by a thread that never starts.
    let settings = Settings {
        interval: Duration::from_micros(config.flush_interval_us),
        talkers: TalkersConfig { loudest: config.loudest_talkers, all_up_to: config.all_talkers_up_to },
    };
    Worker::plane(&bound, settings).map_err(|e| anyhow::anyhow!("media on port {port}: {e}"))?;
    let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
    let (counters, phase) = (Arc::new(Counters::default()), Arc::new(Phase::default()));
    let addresses = bound.iter().filter_map(|b| Some((b.udp.local_addr().ok()?, b.announced.clone()))).collect();
    let addresses = Arc::new(Addresses::new(addresses));
    let worker = Worker::new(index, poll, bound, settings, Mail { commands: receiver, pipes }, Arc::clone(&counters), Arc::clone(&phase))?;
    Ok((worker, WorkerHandle { commands, waker, counters, phase, rooms: Arc::default(), receivers: Arc::default(), addresses }))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::AtomicBool;

    use parlor_proto::transport::Direction;
    use parlor_proto::{MediaCommand, MediaEvent, RouterId, TransportId};
    use parlor_testkit::wait::until_blocking as until;
    use tokio::sync::oneshot;

    use super::*;
    use crate::media::worker::handle::Command;

    fn pool(workers: usize) -> Pool {
        let listen_ip = vec![Ipv4Addr::LOCALHOST.into()];
        Pool::start(&config::Media { port: 0, workers, listen_ip, ..config::Media::default() }, &Told::default(), &[]).expect("starts")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn a_pool_stops_though_a_worker_rests_and_its_queue_is_full() {
        let pool = pool(1);
        let worker = pool.workers[0].clone();
        worker.commands.try_send(Command::Crash).expect("room");
        worker.waker.wake().expect("wakes");
        until("rests", || worker.phase.resting.load(Ordering::Relaxed));
        while worker.commands.try_send(Command::Stats(oneshot::channel().0)).is_ok() {}
        assert_eq!(pool.stop(soon()), [""; 0]);
    }

    #[test]
    fn a_pool_does_not_wait_for_a_thread_that_hangs_and_tells_its_name() {
        let pool = pool(1);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let hangs = std::thread::Builder::new().name("media-1".to_owned()).spawn(move || assert!(held.recv().is_err())).expect("starts");
        pool.threads.lock().expect("no panic").push(hangs);
        assert_eq!(pool.stop(Instant::now() + Duration::from_secs(1)), ["media-1"]);
        drop(release);
    }

    #[tokio::test]
    async fn a_flood_on_a_socket_keeps_orders_waiting_for_a_turn_only() {
        let pool = pool(1);
        let worker = pool.workers[0].clone();
        let (media, flooding) = (worker.announced()[0], Arc::new(AtomicBool::new(true)));
        let flood = std::thread::spawn({
            let flooding = Arc::clone(&flooding);
            move || {
                let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
                // One system call of the test sends 64 datagrams to the worker.
                nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::UdpGsoSegment, &100).expect("set");
                while flooding.load(Ordering::Relaxed) {
                    let _ = socket.send_to(&[0xff; 6_400], media);
                }
            }
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        let (mut seen, mut answers) = (0, 0);
        while seen < 50 * 64 || answers < 50 {
            assert!(Instant::now() < deadline, "the flood arrives: {seen}");
            answers += 1;
            let answer = tokio::time::timeout(Duration::from_secs(5), worker.stats()).await.expect("soon");
            seen = answer.expect("the worker runs").datagrams_in;
        }
        flooding.store(false, Ordering::Relaxed);
        flood.join().expect("ended");
        pool.stop(soon());
    }

    #[tokio::test]
    async fn clients_are_told_other_addresses_of_the_families_there_are_also_after_a_panic() {
        let told = |ips: &[&str]| Told { ips: ips.iter().map(|ip| ip.parse().expect("an address")).collect(), moves: true };
        let media = config::Media { port: 0, workers: 1, listen_ip: vec![Ipv4Addr::LOCALHOST.into()], ..config::Media::default() };
        let pool = Pool::start(&media, &told(&["203.0.113.9"]), &[]).expect("starts");
        let worker = pool.workers[0].clone();
        let ips = |worker: &WorkerHandle| worker.announced().iter().map(|address| address.ip().to_string()).collect::<Vec<_>>();
        assert_eq!(ips(&worker), ["203.0.113.9"]);
        pool.tell(&told(&["203.0.113.10", "2001:db8::9"])).await;
        assert_eq!(ips(&worker), ["203.0.113.10"], "no socket is bound to IPv6");
        assert_eq!(candidates(&worker).await, ["203.0.113.10", "203.0.113.10"], "by UDP and TCP");
        worker.crash().await;
        until("started again", || worker.counters().restarts.load(Ordering::Relaxed) == 1);
        assert_eq!(candidates(&worker).await, ["203.0.113.10", "203.0.113.10"]);
        pool.stop(soon());
    }

    /// What a new transport on a worker tells its client.
    async fn candidates(worker: &WorkerHandle) -> Vec<String> {
        let (router, transport) = (RouterId::from_random(7), TransportId::from_random(7));
        let (mailbox, mut reports) = mpsc::channel(8);
        worker.send(Command::Open(router, mailbox)).await;
        for command in [MediaCommand::CreateRouter, MediaCommand::CreateTransport { transport, direction: Direction::Send }] {
            worker.send(Command::Media(router, command)).await;
        }
        while let Some((_, event)) = reports.recv().await {
            if let MediaEvent::TransportCreated { candidates, .. } = event {
                return candidates.iter().map(|candidate| candidate.address.to_string()).collect();
            }
        }
        Vec::new()
    }

    #[test]
    fn a_worker_that_rests_after_a_panic_gets_no_room() {
        let pool = pool(2);
        let calm = pool.workers[1].clone();
        let first = pool.place().expect("a worker");
        pool.workers[0].phase.resting.store(true, Ordering::Relaxed);
        drop(first);
        let places: Vec<Placement> = (0..3).filter_map(|_| pool.place()).collect();
        assert_eq!(calm.rooms.load(Ordering::Relaxed), 3);
        drop(places);
        pool.stop(soon());
    }
}
