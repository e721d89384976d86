//! What was found on a step of the way: a verdict, what was seen, and what mends it.

use serde::Serialize;

/// A step of the way to a server, the outermost first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The name has addresses.
    Name,
    /// The addresses take connections.
    Tcp,
    /// The certificate is one that browsers take.
    Tls,
    /// Parlor answers, and is ready.
    Http,
    /// Both clocks show the same.
    Clock,
    /// socket.io by long polling.
    Polling,
    /// socket.io by WebSocket.
    Websocket,
    /// The token is accepted.
    Token,
    /// A channel can be joined, and a transport made.
    Join,
    /// The addresses that clients are told for media.
    Announced,
    /// The media ports by UDP.
    MediaUdp,
    /// The media ports by TCP.
    MediaTcp,
    /// The server sees whoever asks, and not its proxy.
    Proxy,
    /// The STUN and TURN servers, and the way through them to the media ports.
    Turn,
}

impl Step {
    /// All of them in their order.
    pub const ALL: [Self; 14] = [
        Self::Name,
        Self::Tcp,
        Self::Tls,
        Self::Http,
        Self::Clock,
        Self::Polling,
        Self::Websocket,
        Self::Token,
        Self::Join,
        Self::Announced,
        Self::MediaUdp,
        Self::MediaTcp,
        Self::Proxy,
        Self::Turn,
    ];

    /// The step in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Tcp => "connection",
            Self::Tls => "certificate",
            Self::Http => "HTTP",
            Self::Clock => "clock",
            Self::Polling => "long polling",
            Self::Websocket => "WebSocket",
            Self::Token => "token",
            Self::Join => "join",
            Self::Announced => "media address",
            Self::MediaUdp => "media by UDP",
            Self::MediaTcp => "media by TCP",
            Self::Proxy => "proxy headers",
            Self::Turn => "TURN",
        }
    }
}

/// How a step is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and not for everybody.
    Warning,
    /// It does not work.
    Broken,
    /// Not tried; what was seen says why.
    Skipped,
}

/// The closed list of what can be wrong, for scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is explained by the sentence of its finding")]
pub enum Fault {
    NameUnknown,
    PortClosed,
    PortSilent,
    AddressSilent,
    TlsExpired,
    TlsExpiresSoon,
    TlsOtherName,
    TlsUntrusted,
    TlsFailed,
    NoTls,
    HttpSilent,
    ProxyWithoutServer,
    Redirected,
    NotParlor,
    NotReady,
    ClocksDiffer,
    PollingBroken,
    NoUpgrade,
    TokenExpired,
    TokenRefused,
    JoinRefused,
    AnnouncedUnreachable,
    UdpSilent,
    UdpPortSilent,
    TcpSilent,
    TcpPortSilent,
    ProxyNotTrusted,
    ProxyHidesAddress,
    NoTurn,
    TurnUnknown,
    TurnSilent,
    TurnCertificate,
    TurnRefused,
    TurnQuota,
    TurnDeniesMedia,
    TurnRelaysNothing,
    OutOfTime,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Where on the way.
    pub step: Step,
    /// How it is.
    pub verdict: Verdict,
    /// What is wrong, as scripts read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// What was seen.
    pub seen: String,
    /// The hop that is to blame, and what mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(step: Step, seen: impl Into<String>) -> Self {
        Self { step, verdict: Verdict::Ok, fault: None, seen: seen.into(), fix: None }
    }

    /// It was not tried.
    pub fn skipped(step: Step, why: impl Into<String>) -> Self {
        Self { step, verdict: Verdict::Skipped, fault: None, seen: why.into(), fix: None }
    }

    /// It does not work.
    pub fn broken(step: Step, fault: Fault, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { step, verdict: Verdict::Broken, fault: Some(fault), seen: seen.into(), fix: Some(fix.into()) }
    }

    /// It works, and not for everybody.
    pub fn warning(step: Step, fault: Fault, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, ..Self::broken(step, fault, seen, fix) }
    }
}

/// The findings so far. Each is told as soon as it is there.
pub struct Notes<'a> {
    findings: Vec<Finding>,
    tell: &'a mut dyn FnMut(&Finding),
}

impl<'a> Notes<'a> {
    /// None so far.
    pub fn new(tell: &'a mut dyn FnMut(&Finding)) -> Self {
        Self { findings: Vec::new(), tell }
    }

    /// Takes a finding; answers whether the way goes on behind it.
    pub fn add(&mut self, finding: Finding) -> bool {
        (self.tell)(&finding);
        let goes_on = finding.verdict != Verdict::Broken;
        self.findings.push(finding);
        goes_on
    }

    /// Notes that nothing behind this step was tried.
    pub fn stop_behind(&mut self, step: Step, why: &str) {
        for behind in Step::ALL.into_iter().filter(|behind| *behind > step) {
            self.add(Finding::skipped(behind, why));
        }
    }

    /// The last step something was found on.
    pub fn last(&self) -> Step {
        self.findings.last().map_or(Step::Name, |finding| finding.step)
    }

    /// Whether this is among what was found.
    pub fn has(&self, fault: Fault) -> bool {
        self.findings.iter().any(|finding| finding.fault == Some(fault))
    }

    /// All findings.
    pub fn done(self) -> Vec<Finding> {
        self.findings
    }
}
