//! Follows the names in `media.announced_ip`: when one has another address, clients are told that from then on.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::Announced;
use crate::media::{LOOK_UP_EVERY, Pool, Told};
use crate::turn;

/// The names, and who is to know of their addresses.
pub struct Names {
    /// As they are configured.
    pub configured: Vec<Announced>,
    /// The addresses that clients are told so far.
    pub told: Told,
    /// The media plane.
    pub pool: Arc<Pool>,
    /// The embedded TURN server.
    pub turn: Option<Arc<turn::Service>>,
}

impl Names {
    /// Looks the names up again and again, if there are any.
    pub async fn follow(mut self, stopping: CancellationToken) {
        let mut failing = false;
        while self.told.moves {
            tokio::select! {
                () = tokio::time::sleep(LOOK_UP_EVERY) => {}
                () = stopping.cancelled() => return,
            }
            match Told::look_up(&self.configured).await {
                Ok(told) => {
                    failing = false;
                    self.tell(told).await;
                }
                Err(reason) if !failing => {
                    failing = true;
                    tracing::warn!("{reason}. Until then clients are told the addresses from before.");
                }
                Err(_) => {}
            }
        }
    }

    async fn tell(&mut self, told: Told) {
        if told == self.told {
            return;
        }
        tracing::info!(before = ?self.told.ips, now = ?told.ips, "the names in media.announced_ip have other addresses: new connections use them");
        self.pool.tell(&told).await;
        if let Some(turn) = &self.turn
            && let Err(error) = turn.move_to(&told, turn::media(&self.pool))
        {
            tracing::error!(error = format!("{error:#}"), "the TURN server keeps its addresses");
        }
        self.told = told;
    }
}
