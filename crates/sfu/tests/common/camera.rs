//! A picture that can be recognized: VP8 frames with every counter, key frames when they are asked for.

use std::time::Duration;

use super::{Client, Sending, World};

/// Thirty frames a second.
pub const FRAME: Duration = Duration::from_micros(33_333);
const TICKS_PER_FRAME: u32 = 3_000;
/// A payload begins with the descriptor; what is in it follows at this offset.
const BODY: usize = 7;

/// A camera with one or more layers.
pub struct Camera {
    client: usize,
    payload_type: u8,
    layers: Vec<Layer>,
}

struct Layer {
    ssrc: u32,
    rid: Option<String>,
    seq: u64,
    timestamp: u32,
    picture: u16,
    tl0: u8,
    packets_per_frame: usize,
    packet_bytes: usize,
    seen_requests: u32,
    key_due: bool,
    on: bool,
    key_frames: u32,
}

impl Camera {
    /// One stream of about 240 kbit/s.
    pub fn simple(client: usize, ssrc: u32) -> Self {
        Self::new(client, vec![layer(ssrc, None, 1, 1_000)])
    }

    /// Three layers of about 75, 480 and 1,440 kbit/s.
    pub fn simulcast(client: usize) -> Self {
        Self::simulcast_from(client, Client::unsignaled_ssrc(0))
    }

    /// Three layers, with the SSRC of the smallest one.
    pub fn simulcast_from(client: usize, ssrc: u32) -> Self {
        let of = |index: u32, packets, bytes| layer(ssrc + 10 * index, Some(format!("r{index}")), packets, bytes);
        Self::new(client, vec![of(0, 1, 312), of(1, 2, 1_000), of(2, 6, 1_000)])
    }

    fn new(client: usize, layers: Vec<Layer>) -> Self {
        Self { client, payload_type: 96, layers }
    }

    pub fn with_payload_type(mut self, payload_type: u8) -> Self {
        self.payload_type = payload_type;
        self
    }

    /// One stream of frames of so many packets of so many bytes.
    pub fn of(client: usize, ssrc: u32, packets_per_frame: usize, packet_bytes: usize) -> Self {
        Self::new(client, vec![layer(ssrc, None, packets_per_frame, packet_bytes)])
    }

    /// Has frames with another number of packets from now on.
    pub fn set_packets(&mut self, packets_per_frame: usize) {
        self.layers.iter_mut().for_each(|layer| layer.packets_per_frame = packets_per_frame);
    }

    /// Begins with this sequence number.
    pub fn starting_at(mut self, seq: u64) -> Self {
        self.layers.iter_mut().for_each(|layer| layer.seq = seq);
        self
    }

    /// The sequence number of what a layer sends next.
    pub fn next_seq(&self, layer: usize) -> u64 {
        self.layers[layer].seq
    }

    /// So many packets more than any sender can send: about 9.6 Mbit/s, in one stream.
    pub fn flood(client: usize, ssrc: u32) -> Self {
        Self::new(client, vec![layer(ssrc, None, 40, 1_000)])
    }

    /// Packets that were sent and will never arrive.
    pub fn lose(&mut self, packets: u64) {
        self.layers.iter_mut().for_each(|layer| layer.seq += packets);
    }

    /// Turns a layer on or off, as a browser does that lacks bandwidth.
    pub fn set_on(&mut self, layer: usize, on: bool) {
        self.layers[layer].on = on;
    }

    pub fn key_frames(&self, layer: usize) -> u32 {
        self.layers[layer].key_frames
    }

    /// Films for a while, with the world going on.
    pub fn film(&mut self, world: &mut World, duration: Duration) {
        let end = world.now() + duration;
        while world.now() < end {
            self.frame(world);
            world.run(FRAME);
        }
    }

    /// One frame of every layer.
    pub fn frame(&mut self, world: &mut World) {
        let now = world.now();
        let client = &mut world.clients[self.client];
        for layer in self.layers.iter_mut() {
            let wanted = client.key_frames_wanted.get(&layer.rid).copied().unwrap_or(0);
            layer.key_due |= wanted > layer.seen_requests;
            layer.seen_requests = wanted;
            layer.timestamp = layer.timestamp.wrapping_add(TICKS_PER_FRAME);
            if !layer.on {
                continue;
            }
            let key = std::mem::take(&mut layer.key_due);
            layer.key_frames += u32::from(key);
            layer.picture = (layer.picture + 1) & 0x7fff;
            layer.tl0 = layer.tl0.wrapping_add(1);
            for position in 0..layer.packets_per_frame {
                let payload = layer.payload(position, key);
                let last = position + 1 == layer.packets_per_frame;
                let sending = Sending {
                    ssrc: layer.ssrc,
                    payload_type: self.payload_type,
                    seq: layer.seq,
                    timestamp: layer.timestamp,
                    marker: last,
                    audio_level: None,
                    payload: &payload,
                };
                client.send(&sending, now);
                layer.seq += 1;
            }
        }
    }
}

fn layer(ssrc: u32, rid: Option<String>, packets_per_frame: usize, packet_bytes: usize) -> Layer {
    Layer {
        ssrc,
        rid,
        // Every encoder begins somewhere else.
        seq: u64::from(ssrc % 30_000),
        timestamp: ssrc.wrapping_mul(7_919),
        picture: u16::try_from(ssrc % 0x7fff).expect("small"),
        tl0: u8::try_from(ssrc % 251).expect("small"),
        packets_per_frame,
        packet_bytes,
        seen_requests: 0,
        key_due: true,
        on: true,
        key_frames: 0,
    }
}

impl Layer {
    fn payload(&self, position: usize, key: bool) -> Vec<u8> {
        let [high, low] = (self.picture | 0x8000).to_be_bytes();
        let start = if position == 0 { 0x10 } else { 0 };
        let mut payload = vec![0x80 | start, 0xe0, high, low, self.tl0, 0x20, u8::from(!key)];
        // Which layer and packet it is, to be found again at the receiver.
        payload.extend(self.ssrc.to_be_bytes());
        payload.extend(self.seq.to_be_bytes());
        payload.resize(self.packet_bytes, 0xab);
        payload
    }
}

/// What a packet of a camera was sent as: its SSRC and sequence number at the sender, and whether it begins a key frame.
pub fn origin(payload: &[u8]) -> (u32, u64, bool) {
    let ssrc = u32::from_be_bytes(payload[BODY..BODY + 4].try_into().expect("long enough"));
    let seq = u64::from_be_bytes(payload[BODY + 4..BODY + 12].try_into().expect("long enough"));
    (ssrc, seq, payload[0] & 0x10 != 0 && payload[6] & 1 == 0)
}
