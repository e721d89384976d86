//! What real browsers say through `mediasoup-client`: Chromium 156 and Firefox 153.

pub use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::rtp::{ParameterValue, RtpParameters};
use serde_json::Value;

fn part(browser: &str, name: &str) -> Value {
    let text = match browser {
        "chrome" => include_str!("../fixtures/chrome.json"),
        "firefox" => include_str!("../fixtures/firefox.json"),
        _ => panic!("no fixture of {browser}"),
    };
    let all: Value = serde_json::from_str(text).expect("JSON");
    all[name].clone()
}

pub fn capabilities(browser: &str) -> RtpCapabilities {
    serde_json::from_value(part(browser, "capabilities")).expect("capabilities")
}

pub fn chrome_capabilities() -> RtpCapabilities {
    capabilities("chrome")
}

/// `audio`, `vp8`, `vp9`, `h264` or `simulcast`.
pub fn parameters(browser: &str, name: &str) -> RtpParameters {
    serde_json::from_value(part(browser, name)).expect("parameters")
}

/// Parameters for another media section and other SSRCs.
pub fn with(mut rtp: RtpParameters, mid: &str, ssrc: u32) -> RtpParameters {
    rtp.mid = Some(mid.to_owned());
    for encoding in &mut rtp.encodings {
        encoding.ssrc = encoding.ssrc.map(|_| ssrc);
        if let Some(rtx) = &mut encoding.rtx {
            rtx.ssrc = ssrc + 1;
        }
    }
    rtp
}

pub fn audio(mid: &str, ssrc: u32) -> RtpParameters {
    with(parameters("chrome", "audio"), mid, ssrc)
}

/// Opus with redundancy, and the capabilities of who takes it. The parameters are what `mediasoup-client` makes of Chromium's.
pub fn red(mid: &str, ssrc: u32) -> (RtpParameters, RtpCapabilities) {
    let mut rtp = audio(mid, ssrc);
    let mut codec = rtp.codecs[0].clone();
    codec.mime_type = "audio/red".into();
    codec.payload_type = 63;
    codec.rtcp_feedback.clear();
    codec.parameters = [("111/111".to_owned(), ParameterValue::Text(String::new()))].into();
    rtp.codecs.insert(0, codec.clone());
    let mut caps = chrome_capabilities();
    let mut capability = caps.codecs[0].clone();
    capability.mime_type = codec.mime_type;
    capability.preferred_payload_type = Some(63);
    capability.rtcp_feedback.clear();
    capability.parameters = codec.parameters;
    caps.codecs.insert(1, capability);
    (rtp, caps)
}

pub fn video(mid: &str, ssrc: u32) -> RtpParameters {
    with(parameters("chrome", "vp8"), mid, ssrc)
}

pub fn simulcast(mid: &str) -> RtpParameters {
    with(parameters("chrome", "simulcast"), mid, 0)
}
