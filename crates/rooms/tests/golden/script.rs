//! Plays a conversation in JSON and compares what was said with the transcript on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use parlor_proto::codec::socketio::{decode_request, event_name, reply_name};
use parlor_proto::{Actor, Entitlement, Identity, MediaEvent, Moderation, ProducerId, Request, SessionId, Tier};
use parlor_rooms::{Ban, Output, RequestId, RoomConfig};
use parlor_testkit::test_room::{TestRoom, config, identity};
use serde_json::{Value, json};

struct Person {
    session: SessionId,
    identity: Identity,
    /// The connection before this one, that was lost.
    lost: Option<SessionId>,
}

/// A conversation that is being played.
pub struct Script {
    pub room: TestRoom,
    title: &'static str,
    people: BTreeMap<String, Person>,
    asked: BTreeMap<(SessionId, RequestId), String>,
    lines: Vec<Value>,
}

impl Script {
    pub fn new(title: &'static str, tier: Tier) -> Self {
        Self::with(title, |config| config.channel.tier = tier)
    }

    /// A room that is not quite like the others.
    pub fn with(title: &'static str, change: impl FnOnce(&mut RoomConfig)) -> Self {
        let mut config = config("den", 7);
        change(&mut config);
        Self { room: TestRoom::new(config), title, people: BTreeMap::new(), asked: BTreeMap::new(), lines: Vec::new() }
    }

    pub fn person(&mut self, name: &str, tier: Tier) {
        self.add(name, identity(name, tier));
    }

    pub fn banned_person(&mut self, name: &str) {
        self.room.facts(name).ban = Some(Ban::default());
        self.add(name, identity(name, Tier::Free));
    }

    /// A second connection of the same user.
    pub fn second_session(&mut self, user: &str, name: &str) {
        self.add(name, identity(user, Tier::Free));
    }

    pub fn add(&mut self, name: &str, identity: Identity) {
        let session = self.room.connect();
        self.people.insert(name.to_owned(), Person { session, identity, lost: None });
    }

    /// Sends a request, and gives the answer that came at once.
    pub fn ask(&mut self, who: &str, event: &str, payload: Value) -> Value {
        let from = self.lines.len();
        self.send(who, event, payload);
        let answer = self.lines[from..].iter().find(|l| l["to"] == json!([who]) && l["answers"] == event);
        let answer = answer.unwrap_or_else(|| panic!("{event} was not answered"));
        answer.get("payload").or_else(|| answer.get("error")).cloned().expect("an answer has one of them")
    }

    /// Sends a request that is not part of the story.
    pub fn quietly(&mut self, who: &str, event: &str, payload: &Value) -> Value {
        let from = self.lines.len();
        let answer = self.ask(who, event, payload.clone());
        self.lines.truncate(from);
        assert!(answer.get("code").is_none(), "{event}: {answer}");
        answer
    }

    /// Sends a request.
    pub fn send(&mut self, who: &str, event: &str, payload: Value) {
        let person = &self.people[who];
        let decoded = decode_request(event, &payload);
        self.lines.push(json!({"from": who, "event": event, "payload": payload}));
        let request = match decoded {
            Err(error) => return self.lines.push(json!({"to": [who], "answers": event, "error": error})),
            Ok(Request::Join { capabilities, .. }) => self.room.enter(person.session, person.identity.clone(), capabilities),
            Ok(Request::Resume { .. }) => {
                let lost = person.lost.expect("a connection was lost before");
                self.room.send_resume(lost, person.session).expect("it was in")
            }
            Ok(body) => self.room.send(person.session, body),
        };
        self.asked.insert((person.session, request), event.to_owned());
        self.write_down();
    }

    pub fn disconnect(&mut self, who: &str) {
        self.lines.push(json!({"from": who, "happens": "the connection breaks"}));
        self.room.disconnect(self.people[who].session);
        self.write_down();
    }

    /// The connection breaks, and there is another at once.
    pub fn reconnect(&mut self, who: &str) {
        self.lines.push(json!({"from": who, "happens": "the connection is lost, and comes back"}));
        let new = self.room.connect();
        let person = self.people.get_mut(who).expect("is known");
        let old = std::mem::replace(&mut person.session, new);
        person.lost = Some(old);
        self.room.lose(old);
        self.write_down();
    }

    /// The host application says what a user has paid for.
    pub fn entitle(&mut self, user: &str, entitlement: Entitlement) {
        self.lines.push(json!({"happens": format!("what {user} has paid for changes"), "now": entitlement}));
        self.room.entitle(user, entitlement);
        self.write_down();
    }

    /// Somebody moderates by REST.
    pub fn moderate(&mut self, action: &Moderation) {
        self.lines.push(json!({"happens": "the host application moderates", "action": action}));
        self.room.moderate(action, &Actor::Key("key".into()));
        self.write_down();
    }

    pub fn media_dies(&mut self) {
        self.lines.push(json!({"happens": "the media thread dies"}));
        self.room.media_dies();
        self.write_down();
    }

    pub fn shut_down(&mut self) {
        self.lines.push(json!({"happens": "the server stops"}));
        self.room.shut_down();
        self.write_down();
    }

    pub fn wait(&mut self, time: Duration) {
        self.lines.push(json!({"happens": format!("{} seconds pass", time.as_secs())}));
        self.room.advance(time);
        self.write_down();
    }

    pub fn report(&mut self, event: MediaEvent) {
        self.room.report(event);
        self.write_down();
    }

    pub fn speaks(&mut self, producer: &Value, level: i8) {
        let producer = ProducerId::parse(producer.as_str().expect("an id")).expect("an id");
        self.report(MediaEvent::Speakers { levels: vec![(producer, level)] });
    }

    fn name(&self, session: SessionId) -> &str {
        self.people.iter().find(|(_, p)| p.session == session).map_or("nobody", |(name, _)| name)
    }

    fn write_down(&mut self) {
        for output in std::mem::take(&mut self.room.said) {
            let line = match output {
                Output::Reply { session, request, result } => {
                    let answers = &self.asked[&(session, request)];
                    let to = json!([self.name(session)]);
                    match result {
                        Ok(reply) => json!({"to": to, "answers": answers, "event": reply_name(&reply), "payload": reply}),
                        Err(error) => json!({"to": to, "answers": answers, "error": error}),
                    }
                }
                Output::Event { to, event } => {
                    let to: Vec<&str> = to.into_iter().map(|session| self.name(session)).collect();
                    json!({"to": to, "event": event_name(&event), "payload": event})
                }
                Output::Media(..)
                | Output::Feed(_)
                | Output::Moderate { .. }
                | Output::Left { .. }
                | Output::SentOut { .. }
                | Output::Connection(_)
                | Output::StayEnded(_)
                | Output::CallEnded(_)
                | Output::Closed => continue,
            };
            self.lines.push(line);
        }
    }

    /// Compares the conversation with its transcript, or writes it if `PARLOR_BLESS` is set.
    pub fn finish(self) {
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", &format!("{}.json", self.title)].iter().collect();
        if std::env::var_os("PARLOR_BLESS").is_some() {
            // A line each: a changed word is a changed line in the difference.
            let lines: Vec<String> = self.lines.iter().map(|line| format!("  {line}")).collect();
            return std::fs::write(&path, format!("[\n{}\n]\n", lines.join(",\n"))).expect("the transcript can be written");
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; PARLOR_BLESS=1 writes it", path.display()));
        let expected: Vec<Value> = serde_json::from_str(&text).expect("a transcript is a JSON array");
        for (n, (said, wanted)) in self.lines.iter().zip(&expected).enumerate() {
            assert_eq!(said, wanted, "{}, line {}", path.display(), n + 2);
        }
        assert_eq!(self.lines.len(), expected.len(), "{} has another number of lines", path.display());
    }
}
