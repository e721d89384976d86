//! The paths of the signaling dialects on plain WebSockets.

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use parlor_proto::codec::call::Call;
use parlor_proto::codec::voice::Voice;
use parlor_proto::{ChannelId, Error};

use crate::http::App;
use crate::signal::{Envelopes, Text};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/ws", get(envelopes))
        .route("/ws/call/{room_id}", get(call))
        .route("/ws/call/{room_id}/", get(call))
        .route("/ws/voice/{room_id}", get(voice))
        .route("/ws/voice/{room_id}/", get(voice))
}

async fn envelopes(State(app): State<App>, request: Request) -> Response {
    app.plain.serve(Envelopes, None, request).await
}

async fn call(State(app): State<App>, room_id: Result<Path<String>, PathRejection>, request: Request) -> Response {
    app.plain.serve(Text::<Call>::default(), Some(channel(room_id)), request).await
}

async fn voice(State(app): State<App>, room_id: Result<Path<String>, PathRejection>, request: Request) -> Response {
    app.plain.serve(Text::<Voice>::default(), Some(channel(room_id)), request).await
}

fn channel(room_id: Result<Path<String>, PathRejection>) -> Result<ChannelId, Error> {
    let Path(text) = room_id.map_err(|_| Error::invalid("room_id", "must be text"))?;
    ChannelId::new(&text).map_err(|reason| Error::invalid("room_id", reason))
}
