//! Streams that end when the scope is told.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::{
    inner::Phase,
    scope::{BoxFuture, Scope},
    task::current,
    wait::{Told, empty_unless_out_of_budget},
};

pin_project! {
    /// A stream that ends early on a stop; made by [`Scope::stream`], [`Scope::stream_until_draining`] and
    /// [`Scope::stream_until_cancelled`].
    pub struct Until<S> {
        #[pin]
        stream: S,
        scope: Scope,
        phase: Phase,
        // `None` as long as the first poll has not decided: a task that comes late empties its stream.
        until_cancelled: Option<bool>,
        told: BoxFuture<()>,
        was_told: bool,
    }
}

impl<S> std::fmt::Debug for Until<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Until").field("was_told", &self.was_told).finish_non_exhaustive()
    }
}

impl Scope {
    /// Gives the items of `stream` until it is pending after the scope was told to drain: what
    /// [`until_draining`](Self::until_draining) is for a future.
    pub fn stream_until_draining<S: Stream>(&self, stream: S) -> Until<S> {
        self.until(stream, Phase::Draining)
    }

    /// Gives the items of `stream` until the scope is cancelled; the signal is looked at first.
    pub fn stream_until_cancelled<S: Stream>(&self, stream: S) -> Until<S> {
        self.until(stream, Phase::Cancelled)
    }

    /// Gives the items of `stream` until it is pending after the scope was told to drain, or the scope is
    /// cancelled: what [`next`](Self::next) is for a future, for the loop of a consumer.
    pub fn stream<S: Stream>(&self, stream: S) -> Until<S> {
        Until { until_cancelled: None, ..self.until(stream, Phase::Draining) }
    }

    fn until<S: Stream>(&self, stream: S, phase: Phase) -> Until<S> {
        let inner = self.inner.clone();
        let told = Box::pin(async move { drop(Told::new(&inner, phase, false).await) });
        Until {
            stream,
            scope: self.clone(),
            phase,
            until_cancelled: Some(phase == Phase::Cancelled),
            told,
            was_told: false,
        }
    }
}

impl<S: Stream> Stream for Until<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        if *this.phase == Phase::Draining && current().is_some_and(|task| !task.drains) {
            this.scope.inner.mark_draining();
        }
        *this.was_told = *this.was_told || this.told.as_mut().poll(cx).is_ready();
        let inner = &this.scope.inner;
        if *this.until_cancelled.get_or_insert_with(|| !inner.may_drain_late()) && inner.phase() >= Phase::Cancelled {
            return Poll::Ready(None);
        }
        match this.stream.poll_next(cx) {
            Poll::Ready(item) => Poll::Ready(item),
            Poll::Pending if !*this.was_told => Poll::Pending,
            Poll::Pending => empty_unless_out_of_budget(cx).map(|()| None),
        }
    }
}
