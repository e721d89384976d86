//! A body for each request that has one, for the document: whoever tries it as it stands is served. A test sends every one of them.

use serde_json::{Value, json};

/// The body that shows what a schema is for. Its times are far away: an example that has passed is refused.
pub fn body(schema: &str) -> Option<Value> {
    Some(match schema {
        "NewChannel" => {
            json!({ "id": "stage", "name": "The stage", "tier": "pro", "access": "members", "spectators": true, "maxSpectators": 200, "owner": "olga" })
        }
        "ChannelSettings" => json!({
            "name": "The den", "maxParticipants": 12, "opensAt": "2100-01-31T18:00:00Z", "closesAt": "2100-01-31T22:00:00Z",
        }),
        "NewMember" => json!({ "role": "moderator" }),
        "NewInvitation" => json!({ "state": "invited" }),
        "NewSeat" => json!({ "userId": "alice" }),
        "NewBan" => json!({ "until": "2100-01-31T18:00:00Z", "reason": "Shouting." }),
        "Mute" => json!({ "audio": true, "screen": false }),
        "Deafen" => json!({ "deafened": true }),
        "Because" => json!({ "reason": "It is late." }),
        "Move" => json!({ "to": "stage" }),
        "Entitlement" => json!({ "pro": true, "expiresAt": "2100-12-31T00:00:00Z" }),
        "NewKey" => json!({ "name": "host application", "scopes": ["channels:read", "events"] }),
        _ => return None,
    })
}
