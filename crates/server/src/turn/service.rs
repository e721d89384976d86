//! The start and the end of the TURN server.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use parlor_turn::PeerPolicy;

use crate::media::{Told, addresses};
use crate::turn::handle::{ORDERS, Order, Shared, TurnHandle};
use crate::turn::settings::{Settings, Surroundings};
use crate::turn::sockets;
use crate::turn::tls::Tls;
use crate::turn::worker::{Plan, WAKER, Worker};

/// How often a thread that is to end is asked whether it has ended.
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// A running TURN server.
pub struct Service {
    handle: TurnHandle,
    settings: Settings,
    interfaces: Vec<IpAddr>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl Service {
    /// Opens the listeners and starts the thread.
    pub fn start(settings: Settings, surroundings: Surroundings) -> anyhow::Result<Self> {
        let now = Instant::now();
        let tls = match &settings.tls_files {
            Some((chain, key)) => Some(Tls::read(chain.clone(), key.clone(), now).context("TURN over TLS")?),
            None => None,
        };
        let entrances = sockets::bind(&settings.listen, &settings.tls_listen, &surroundings.interfaces)?;
        let plan = plan(&settings, &surroundings)?;
        let poll = mio::Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let (orders, receiver) = mpsc::sync_channel(ORDERS);
        let shared = Arc::new(Shared::default());
        let listening = entrances.iter().map(|(listener, _)| (listener.protocol, listener.address)).collect();
        let worker = Worker::new(poll, entrances, tls, plan, receiver, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new().name("turn".to_owned()).spawn(move || worker.run())?;
        let handle = TurnHandle { orders, waker, shared, listening, signed_out: Arc::clone(&settings.signed_out) };
        let interfaces = surroundings.interfaces;
        Ok(Self { handle, settings, interfaces, thread: std::sync::Mutex::new(Some(thread)) })
    }

    /// Goes on with other addresses, as others see them: its own, if they are those of the media plane, and of that. Allocations
    /// end; browsers make new ones at the next ICE restart.
    pub fn move_to(&self, told: &Told, media: Vec<(SocketAddr, SocketAddr)>) -> anyhow::Result<()> {
        let mut settings = self.settings.clone();
        if settings.as_media {
            settings.told = told.clone();
        }
        let surroundings = Surroundings { interfaces: self.interfaces.clone(), media };
        self.handle.order(Order::Move(Box::new(plan(&settings, &surroundings)?)));
        Ok(())
    }

    /// The handle to tell and ask it by.
    #[must_use]
    pub fn handle(&self) -> &TurnHandle {
        &self.handle
    }

    /// Ends the thread, without keeping the task's thread waiting. Returns its name if it does not end until the deadline; then it
    /// goes with the process.
    pub async fn end(self: Arc<Self>, deadline: tokio::time::Instant) -> Option<String> {
        let hung = tokio::task::spawn_blocking(move || self.stop(deadline.into_std())).await.unwrap_or_default();
        if hung.is_some() {
            tracing::error!("the thread of the TURN server does not end; it goes with the process");
        }
        hung
    }

    /// Ends the thread and waits for it until the deadline.
    pub fn stop(&self, deadline: Instant) -> Option<String> {
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()?;
        self.handle.shared.stopping.store(true, Ordering::Relaxed);
        let _ = self.handle.waker.wake();
        // Wakes a thread that pauses after a panic.
        thread.thread().unpark();
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                return Some(thread.thread().name().unwrap_or_default().to_owned());
            }
            // The thread is asked and not joined, because joining waits without limit.
            std::thread::sleep(ASK_AGAIN);
        }
        None
    }
}

/// Chooses the relay's addresses, one of each family, and what may be reached from them.
fn plan(settings: &Settings, surroundings: &Surroundings) -> anyhow::Result<Plan> {
    let Surroundings { interfaces, media } = surroundings;
    let bindings = addresses::plan(interfaces, &settings.relay_ip, &settings.told);
    let pairs: Vec<(IpAddr, IpAddr)> = bindings.iter().filter_map(|binding| Some((*binding.announced.first()?, binding.bind))).collect();
    // A relayed address on loopback is of use only where there is nothing else, or where somebody says so.
    let chosen = !settings.relay_ip.is_empty() || pairs.iter().all(|(told, _)| told.is_loopback());
    let mut usable = pairs.into_iter().filter(|(told, _)| chosen || !told.is_loopback());
    let mut relays: Vec<(IpAddr, IpAddr)> = Vec::new();
    for pair in usable.by_ref() {
        if !relays.iter().any(|(told, _)| told.is_ipv4() == pair.0.is_ipv4()) {
            relays.push(pair);
        }
    }
    anyhow::ensure!(!relays.is_empty(), "there is no address for TURN to relay from; `turn.relay_ip` says which");
    let media = media.iter().map(|(told, reached)| (*told, reachable(*reached, &relays, interfaces))).collect::<Vec<_>>();
    let told = relays.iter().map(|(told, _)| *told);
    let own =
        interfaces.iter().copied().chain(relays.iter().flat_map(|(told, bind)| [*told, *bind])).chain(media.iter().map(|(m, _)| m.ip()));
    let allowed = media.iter().map(|(told, _)| *told).chain(settings.allowed.iter().copied());
    let policy = PeerPolicy::new(allowed.collect(), own.collect(), told.collect(), settings.ports.clone());
    let policy = policy.denying(settings.denied.clone());
    let authenticate = Arc::clone(&settings.authenticate);
    Ok(Plan { relays, ports: settings.ports.clone(), limits: settings.limits, policy, authenticate, media })
}

/// A media socket on every address is reached at the one that we send from; where we send from every address as well, at one of
/// this machine's. It answers from there, and only then is it known for what it is.
fn reachable(reached: SocketAddr, relays: &[(IpAddr, IpAddr)], interfaces: &[IpAddr]) -> SocketAddr {
    if !reached.ip().is_unspecified() {
        return reached;
    }
    let of_family = |ip: &IpAddr| ip.is_ipv4() == reached.is_ipv4() && !ip.is_unspecified();
    let own = || interfaces.iter().copied().filter(of_family);
    let sends_from = relays.iter().map(|(_, bind)| *bind).find(of_family);
    let best = sends_from.or_else(|| own().find(|ip| !ip.is_loopback())).or_else(|| own().next());
    SocketAddr::new(best.unwrap_or(reached.ip()), reached.port())
}

#[cfg(test)]
mod tests {
    use parlor_turn::{Limits, Peers, SharedSecrets};

    use super::*;

    fn settings(relay: &[&str], external: &[&str]) -> Settings {
        let ips = |texts: &[&str]| texts.iter().map(|ip| ip.parse().expect("an address")).collect();
        Settings {
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            tls_listen: Vec::new(),
            tls_files: None,
            relay_ip: ips(relay),
            told: Told { ips: ips(external), moves: false },
            as_media: false,
            ports: 49_152..=65_535,
            allowed: Vec::new(),
            denied: Vec::new(),
            limits: Limits::default(),
            authenticate: Arc::new(SharedSecrets::new([&b"secret"[..]], Peers::Mesh)),
            signed_out: Arc::default(),
        }
    }

    fn chosen(interfaces: &[&str], relay: &[&str], external: &[&str]) -> Vec<String> {
        let interfaces = interfaces.iter().map(|ip| ip.parse().expect("an address")).collect();
        let surroundings = Surroundings { interfaces, media: Vec::new() };
        let plan = plan(&settings(relay, external), &surroundings).expect("a plan");
        plan.relays.iter().map(|(told, bind)| format!("{told} on {bind}")).collect()
    }

    #[test]
    fn one_address_of_each_family_relays_and_loopback_only_if_there_is_no_other() {
        let all = ["127.0.0.1", "192.0.2.1", "192.0.2.2", "::1", "2001:db8::1"];
        assert_eq!(chosen(&all, &[], &[]), ["192.0.2.1 on 192.0.2.1", "2001:db8::1 on 2001:db8::1"]);
        assert_eq!(chosen(&["127.0.0.1", "192.0.2.1", "::1"], &[], &[]), ["192.0.2.1 on 192.0.2.1"]);
        assert_eq!(chosen(&["127.0.0.1"], &[], &[]), ["127.0.0.1 on 127.0.0.1"]);
        assert_eq!(chosen(&all, &["127.0.0.1"], &[]), ["127.0.0.1 on 127.0.0.1"]);
        assert_eq!(chosen(&["127.0.0.1", "10.0.0.5"], &["10.0.0.5"], &["203.0.113.9"]), ["203.0.113.9 on 10.0.0.5"]);
        assert_eq!(chosen(&["127.0.0.1", "10.0.0.5"], &[], &["203.0.113.9"]), ["203.0.113.9 on 0.0.0.0"]);
    }

    #[test]
    fn media_on_every_address_is_reached_at_one_that_it_answers_from() {
        let reached = |relay: &[&str], bound: &str| {
            let address = |text: &str| text.parse().expect("an address");
            let interfaces = ["127.0.0.1", "10.0.0.5", "10.0.0.6"].map(|ip| ip.parse().expect("an address")).to_vec();
            let media = vec![(address("203.0.113.9:7401"), address(bound))];
            let plan = plan(&settings(relay, &["203.0.113.9"]), &Surroundings { interfaces, media }).expect("a plan");
            plan.media[0].1.to_string()
        };
        assert_eq!(reached(&[], "0.0.0.0:7401"), "10.0.0.5:7401", "behind NAT");
        assert_eq!(reached(&["10.0.0.6"], "0.0.0.0:7401"), "10.0.0.6:7401", "where it is sent from");
        assert_eq!(reached(&[], "10.0.0.6:7401"), "10.0.0.6:7401");
    }

    #[tokio::test]
    async fn a_panic_is_survived_and_the_thread_ends_when_it_is_told() {
        let service = Service::start(settings(&["127.0.0.1"], &[]), Surroundings::default()).expect("starts");
        assert_eq!(service.handle().stats().await.map(|stats| stats.allocations), Some(0));
        service.handle().crash();
        let mut answers = 0;
        while service.handle().restarts() == 0 || answers == 0 {
            answers += usize::from(service.handle().stats().await.is_some());
            tokio::task::yield_now().await;
        }
        assert_eq!(service.stop(Instant::now() + Duration::from_secs(10)), None);
        assert_eq!(service.handle().stats().await, None);
    }
}
