//! Guards of connections: a connection is closed when its peer reads nothing, or never says a word.
//!
//! engine.io waits without limit for a peer that does not read; behind this guard, a write that makes no progress fails. A WebSocket
//! takes the stream over and outlives its HTTP connection, so the connection's place goes along with the stream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::net::places::Place;

/// How long a peer may read nothing at all.
const STALL: Duration = Duration::from_secs(15);
/// Time to the first byte. Browsers and proxies send their request at once; a connection they opened ahead of need they
/// open again when it is gone.
const FIRST_BYTE: Duration = Duration::from_secs(5);

/// A stream that is given up when its peer stalls.
pub struct StallGuard<S> {
    stream: S,
    stalled: Option<Pin<Box<Sleep>>>,
    /// The timer that runs until the first byte comes.
    silent: Option<Pin<Box<Sleep>>>,
    _place: Arc<Place>,
}

impl<S> StallGuard<S> {
    /// Wraps a stream, which keeps the place until it is dropped.
    pub fn new(stream: S, place: Arc<Place>) -> Self {
        Self { stream, stalled: None, silent: Some(Box::pin(sleep(FIRST_BYTE))), _place: place }
    }

    /// Passes the result of a finished write on, and times a write that waits.
    fn watch<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.stalled = None;
            return progress;
        }
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.silent = None;
        } else if let Some(timer) = &mut self.silent
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, progress)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, progress)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::net::places::Places;

    fn place() -> Arc<Place> {
        Places::default().take([192, 0, 2, 1].into()).expect("free")
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut guarded = StallGuard::new(ours, place());
        let error = guarded.write_all(&[0; 1000]).await.expect_err("the peer does not read");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_says_a_word_is_given_up_and_one_that_pauses_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut guarded = StallGuard::new(ours, place());
        let began = tokio::time::Instant::now();
        assert_eq!(guarded.read_u8().await.expect_err("silent").kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), FIRST_BYTE);

        let (ours, mut second) = tokio::io::duplex(64);
        let mut guarded = StallGuard::new(ours, place());
        second.write_all(b"a").await.expect("writes");
        assert_eq!(guarded.read_u8().await.expect("the first byte"), b'a');
        let later = async {
            sleep(FIRST_BYTE * 10).await;
            second.write_all(b"b").await
        };
        let (read, written) = tokio::join!(guarded.read_u8(), later);
        written.expect("writes");
        assert_eq!(read.expect("later"), b'b');
        theirs.shutdown().await.expect("shuts down");
    }
}
