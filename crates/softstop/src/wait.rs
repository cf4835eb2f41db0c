//! The futures that end on a stop. Written by hand: an `async fn` keeps what it is given twice, and a
//! task that waits for its stop should cost little more than the future it runs.
//!
//! All of them look at the phase before they look at anything else, and queue up for the signal only
//! where they have to wait: a consumer whose channel is never empty never touches the queue.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{
    inner::{Inner, Phase},
    machine::Reason,
    sync::{Notified, Unconstrained, has_budget_remaining, unconstrained},
};

pin_project! {
    /// The signal of a scope's stop. It is seen however busy the task is: it takes no part in
    /// tokio's cooperative budget.
    pub(crate) struct Signal<'a> {
        inner: &'a Inner,
        #[pin]
        notified: Unconstrained<Notified<'a>>,
        queued: bool,
    }
}

impl<'a> Signal<'a> {
    pub(crate) fn new(inner: &'a Inner) -> Self {
        Self { inner, notified: unconstrained(inner.notified()), queued: false }
    }

    /// Ready when the stop has come to `phase`.
    pub(crate) fn poll_phase(self: Pin<&mut Self>, cx: &mut Context<'_>, phase: Phase) -> Poll<()> {
        let mut this = self.project();
        loop {
            // The queue is older than this look: what comes between the two wakes the task. Who was
            // woken leaves the queue by this poll, without the lock that a drop would take.
            let reached = this.inner.phase() >= phase;
            if reached && !*this.queued {
                return Poll::Ready(());
            }
            let woken = this.notified.as_mut().poll(cx).is_ready();
            *this.queued = !woken;
            if reached || !woken {
                return if reached { Poll::Ready(()) } else { Poll::Pending };
            }
            this.notified.set(unconstrained(this.inner.notified()));
        }
    }
}

pin_project! {
    /// Waits for a phase, gives the reason of the stop.
    pub(crate) struct Told<'a> {
        #[pin]
        signal: Signal<'a>,
        phase: Phase,
        holds_drain: bool,
    }
}

impl<'a> Told<'a> {
    pub(crate) fn new(inner: &'a Inner, phase: Phase, holds_drain: bool) -> Self {
        Self { signal: Signal::new(inner), phase, holds_drain }
    }
}

impl Future for Told<'_> {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let this = self.project();
        let inner = this.signal.inner;
        if *this.holds_drain {
            inner.mark_draining();
        }
        this.signal.poll_phase(cx, *this.phase).map(|()| inner.stop_reason())
    }
}

pin_project! {
    /// Runs a future; the stop comes first.
    pub(crate) struct Before<'a, F> {
        #[pin]
        future: F,
        #[pin]
        signal: Signal<'a>,
        phase: Phase,
    }
}

impl<'a, F> Before<'a, F> {
    pub(crate) fn new(inner: &'a Inner, phase: Phase, future: F) -> Self {
        Self { future, signal: Signal::new(inner), phase }
    }
}

impl<F: Future> Future for Before<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.signal.inner.phase() >= *this.phase {
            return Poll::Ready(None);
        }
        if let Poll::Ready(value) = this.future.poll(cx) {
            return Poll::Ready(Some(value));
        }
        this.signal.poll_phase(cx, *this.phase).map(|()| None)
    }
}

/// What a draining task does when a future is pending: being pending because the runtime asks a busy
/// task to yield says nothing yet.
pub(crate) fn empty_unless_out_of_budget(cx: &Context<'_>) -> Poll<()> {
    if has_budget_remaining() {
        return Poll::Ready(());
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

pin_project! {
    /// Runs a future until it is pending while the scope drains.
    pub(crate) struct Draining<'a, F> {
        #[pin]
        future: F,
        #[pin]
        signal: Signal<'a>,
        // Also ends, without a look at the future, when the scope is cancelled.
        until_cancelled: Option<bool>,
    }
}

impl<'a, F> Draining<'a, F> {
    /// Goes on through a cancel.
    pub(crate) fn new(inner: &'a Inner, future: F) -> Self {
        Self { future, signal: Signal::new(inner), until_cancelled: Some(false) }
    }

    /// Ends with a cancel, unless its task came late to its queue: the first poll decides.
    pub(crate) fn until_cancelled(inner: &'a Inner, future: F) -> Self {
        Self { future, signal: Signal::new(inner), until_cancelled: None }
    }
}

impl<F: Future> Future for Draining<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.signal.inner;
        if *this.until_cancelled.get_or_insert_with(|| !inner.may_drain_late()) && inner.phase() >= Phase::Cancelled {
            return Poll::Ready(None);
        }
        inner.mark_draining();
        loop {
            // Looked at before the future: what came before the drain is there to be found.
            let told = inner.phase() >= Phase::Draining;
            if let Poll::Ready(value) = this.future.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            ready!(this.signal.as_mut().poll_phase(cx, Phase::Draining));
            if told {
                return empty_unless_out_of_budget(cx).map(|()| None);
            }
        }
    }
}
