//! An example body for each request that has a body: it is valid as it stands in the document. A test sends every one of them.

use serde_json::{Value, json};

/// The example body for a schema. Its times are far in the future: an example whose time has passed would be refused.
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
