//! What is done to a room besides requests for media: slots, moderation, tiers, lost connections.

use std::time::Duration;

use parlor_proto::event::LeftReason;
use parlor_proto::media::Source;
use parlor_proto::{Actor, Connection, Entitlement, Identity, Moderation, Request, Signal, Target, Tier, Timestamp};

use super::{SLOTS, World, user};
use crate::reports::{connected, unanswered};
use crate::test_room::{channel_id, user_id};

impl World<'_> {
    pub(super) fn act(&mut self, room: usize, slot: usize, step: u8) -> Option<()> {
        let flag = self.byte()?;
        match step {
            20 | 21 => self.wish_slot(room, slot, flag),
            // What puts people out is rarer than the rest, or nobody would ever get far.
            22 if flag & 1 == 0 => self.lose(room, slot),
            22 => Some(()),
            23 => self.resume(room, slot, flag),
            24 => {
                let action = self.moderation(room, flag)?;
                let session = self.session(room, slot)?;
                self.seat(room)?.room.send(session, Request::Moderate { action });
                Some(())
            }
            25 => {
                let action = self.moderation(room, flag)?;
                self.seat(room)?.room.moderate(&action, &Actor::Key("key".to_owned()));
                Some(())
            }
            26 => self.entitle(room, slot, flag),
            _ => self.change(room, slot, flag),
        }
    }

    /// A participant of a mesh tells another something.
    pub(super) fn tell(&mut self, room: usize, slot: usize) -> Option<()> {
        let flag = self.byte()?;
        let session = self.session(room, slot)?;
        let to = Target::User(user_id(&user(usize::from(flag >> 2) % SLOTS)));
        let description = || Signal::of_sdp("v=0").ok();
        let body = match flag % 4 {
            _ if (100..140).contains(&flag) => {
                let report = Box::new(if flag & 2 == 0 { connected() } else { unanswered() });
                Request::ReportConnection { of: Connection::Peer(to), report }
            }
            0 => Request::MeshOffer { to, signal: description()? },
            1 => Request::MeshAnswer { to, signal: description()? },
            _ => Request::MeshIce { to, signal: Signal::of_candidate(Default::default()).ok()? },
        };
        // Often enough for the limit of a pair to be met.
        for _ in 0..if flag > 240 { 70 } else { 1 } {
            self.seat(room)?.room.send(session, body.clone());
        }
        Some(())
    }

    fn wish_slot(&mut self, room: usize, slot: usize, flag: u8) -> Option<()> {
        let source = if flag & 1 == 0 { Source::Camera } else { Source::Screen };
        let session = self.session(room, slot)?;
        let body = if flag % 8 < 6 { Request::RequestSlot { source } } else { Request::ReleaseSlot { source } };
        self.seat(room)?.room.send(session, body);
        Some(())
    }

    /// The connection breaks; its client has another at once.
    fn lose(&mut self, room: usize, slot: usize) -> Option<()> {
        let session = self.session(room, slot)?;
        let seat = self.seat(room)?;
        if !seat.room.is_inside(session) {
            return Some(());
        }
        seat.room.lose(session);
        *seat.lost.get_mut(slot)? = Some(session);
        *seat.sessions.get_mut(slot)? = seat.room.connect();
        Some(())
    }

    pub(super) fn resume(&mut self, room: usize, slot: usize, flag: u8) -> Option<()> {
        let session = self.session(room, slot)?;
        let seat = self.seat(room)?;
        let old = match flag {
            // Somebody else's session, with their token; or one's own that is not lost at all.
            240.. => *seat.sessions.get(usize::from(flag) % SLOTS)?,
            _ => match seat.lost.get_mut(slot)?.take() {
                Some(old) => old,
                None => return Some(()),
            },
        };
        if flag >= 250 {
            let identity = Identity::new(user_id(&user(slot)), "Somebody");
            if let Some(token) = seat.room.token(old) {
                // Refused or not: the checks after each operation see what became of it.
                let _ = seat.room.resume_as(identity, token);
            }
        } else if flag >= 240 {
            let new = seat.room.connect();
            seat.room.send_resume(old, new);
        } else {
            seat.room.send_resume(old, session);
        }
        Some(())
    }

    fn moderation(&mut self, room: usize, flag: u8) -> Option<Moderation> {
        let wall = self.seat(room)?.room.wall();
        let whom = user_id(&user(usize::from(flag / 32)));
        let bit = |n: u8| flag >> n & 1 == 1;
        Some(match (flag % 32, flag) {
            (0..=15, _) => Moderation::Mute { user: whom, audio: bit(5).then_some(bit(6)), video: Some(bit(7)), screen: Some(bit(6)) },
            (16..=27, _) => Moderation::Deafen { user: whom, deafened: bit(5) },
            (28 | 29, _) => Moderation::Kick { user: whom, reason: None },
            (30, _) => Moderation::Ban { user: whom, until: Some(Timestamp(wall.0 + 1_000)), reason: Some("enough".to_owned()) },
            (_, 255) => Moderation::EndCall { reason: None },
            _ => Moderation::Move { user: whom, to: channel_id("elsewhere") },
        })
    }

    fn entitle(&mut self, room: usize, slot: usize, flag: u8) -> Option<()> {
        let seat = self.seat(room)?;
        let end = Timestamp(seat.room.wall().0 + 50 * i64::from(flag));
        let entitlement = Entitlement { pro: flag & 7 != 0, expires_at: (flag & 7 == 1).then_some(end) };
        seat.room.entitle(&user(slot), entitlement);
        Some(())
    }

    /// The channel's record changes, somebody is put out by it, or a while passes.
    fn change(&mut self, room: usize, slot: usize, flag: u8) -> Option<()> {
        let seat = self.seat(room)?;
        match flag {
            0..100 => {
                let mut channel = seat.room.channel.clone();
                channel.tier = if flag & 1 == 0 { Tier::Free } else { Tier::Pro };
                seat.room.change_channel(channel);
            }
            100..105 => seat.room.evict(&user(slot), LeftReason::AccessLost),
            105..110 => seat.room.evict(&user(slot), LeftReason::SessionRevoked),
            _ => seat.room.advance(Duration::from_millis(100 * u64::from(flag))),
        }
        Some(())
    }
}
