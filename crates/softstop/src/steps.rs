//! Carries out what the machine decides for one scope: a component's, or a nested one's.

use std::{sync::Arc, time::Duration};

use crate::{
    error::chain,
    events::Event as Told,
    inner::{Inner, Phase},
    machine::{Action, Event, Level, Reason, State, Time},
    report::{Failure, Saved},
    scope::{End, Hook},
    shared::lock,
    task::{Kind, Name, Outcome, catch_panic},
};

/// Does `action` on `inner`, whose present step ends at `limit`. Returns the answer if there is one
/// already; else [`answer`] gives it after progress was reported.
pub(crate) fn carry_out(
    inner: &Arc<Inner>,
    action: &Action,
    limit: Option<Time>,
    level: Level,
    reason: &Reason,
) -> Option<Event> {
    match *action {
        Action::Unready(_) => inner.advance(Phase::Unready, limit, reason),
        Action::Drain(c) => {
            inner.advance(Phase::Draining, limit, reason);
            return answer(inner, c, State::Draining);
        }
        Action::Cancel(c) => {
            if level == Level::Graceful && inner.drainers() == 0 {
                inner.note_drained();
            }
            inner.advance(Phase::Cancelled, limit, reason);
            inner.abort(|kind| !kind.cooperates());
            return answer(inner, c, State::Cancelling);
        }
        Action::AbortIdle(c, idle) => return Some(Event::NextIdle(c, inner.abort_idle(idle))),
        Action::Abort(c) => {
            inner.advance(Phase::Aborted, limit, reason);
            inner.abort(|_| true);
            return answer(inner, c, State::Cancelling);
        }
        Action::CutStart(_) => inner.abort(|kind| kind == Kind::Start),
        Action::Count(c) => return answer(inner, c, State::Cancelling),
        Action::Stuck(_) => inner.give_up(Outcome::Stuck),
        Action::Save(c) => {
            inner.advance(Phase::Saving, limit, reason);
            begin_saving(inner, limit.unwrap_or(Time::MAX), level, reason);
            return answer(inner, c, State::Saving);
        }
        Action::CutSave(_) => {
            for scope in inner.family() {
                cut_save(&scope);
            }
            inner.abort(|_| true);
        }
        Action::Close(c) => {
            inner.advance(Phase::Closing, limit, reason);
            // What the save left behind: opening and spawning are over. Closing waits for it.
            inner.abort(|_| true);
            // What comes back from here on is closed as it comes.
            if inner.family().iter().any(|scope| lock(&scope.local).ledger.waits()) {
                run_step(inner, "closing", Arc::clone(inner).close_all(limit.unwrap_or(Time::MAX)));
            }
            return answer(inner, c, State::Closing);
        }
        Action::CutClose(_) => {
            inner.abort(|_| true);
            inner.give_up(Outcome::Stuck);
            for scope in inner.family() {
                let mut local = lock(&scope.local);
                let cut = local.ledger.cut();
                local.cut_closes += cut.len() as u64;
                drop(local);
                drop(cut);
            }
        }
        _ => {}
    }
    None
}

/// What the machine is to be told of a component in `state`, if its step is over or may be.
pub(crate) fn answer(inner: &Inner, c: usize, state: State) -> Option<Event> {
    match state {
        State::Draining => (inner.drainers() == 0).then_some(Event::Drained(c)),
        State::Cancelling => Some(Event::Left(c, inner.live())),
        State::Saving => (inner.live() == 0).then_some(Event::Saved(c)),
        State::Closing => (inner.live() == 0).then_some(Event::Closed(c)),
        _ => None,
    }
}

fn run_step(inner: &Arc<Inner>, name: &'static str, step: impl Future<Output = ()> + Send + 'static) {
    let step = async move {
        step.await;
        Ok(())
    };
    // Never refused: steps are admitted in every phase.
    let _ = inner.run(Name::Borrowed(name), Kind::Step, true, inner.site, step);
}

fn begin_saving(inner: &Arc<Inner>, limit: Time, level: Level, reason: &Reason) {
    if !inner.family().iter().any(|scope| lock(&scope.local).hook.is_some()) {
        return;
    }
    let (root, reason) = (Arc::clone(inner), reason.clone());
    // The step is enrolled before any hook is taken: a stop around this one waits for it.
    run_step(inner, "on_stop", async move {
        let take = |scope: &Arc<Inner>| {
            let mut local = lock(&scope.local);
            let hook = local.hook.take()?;
            local.saved = Some(Saved::NotRun);
            drop(local);
            Some((Arc::clone(scope), hook))
        };
        let mut hooks: Vec<(Arc<Inner>, Hook)> = root.family().iter().filter_map(take).collect();
        let own = hooks.iter().position(|(scope, _)| Arc::ptr_eq(scope, &root)).map(|at| hooks.remove(at));
        save_nested(&root, hooks, limit, level, &reason).await;
        if let Some((scope, hook)) = own {
            save(&scope, hook, limit, level, reason).await;
        }
    });
}

/// Saves of nested scopes run side by side, in at most half of the time.
async fn save_nested(root: &Arc<Inner>, hooks: Vec<(Arc<Inner>, Hook)>, limit: Time, level: Level, reason: &Reason) {
    let now = root.shared.now();
    let half = now + limit.saturating_sub(now) / 2;
    let mut tasks = Vec::new();
    for (scope, hook) in hooks {
        let (of, reason) = (Arc::clone(&scope), reason.clone());
        let saving = async move {
            save(&of, hook, half, level, reason).await;
            Ok(())
        };
        if let Ok(task) = root.run(Name::Borrowed("on_stop"), Kind::Step, true, root.site, saving) {
            tasks.push((scope, task));
        }
    }
    for (scope, mut task) in tasks {
        if tokio::time::timeout_at(root.shared.instant(half), &mut task).await.is_err() {
            if let Some(join) = &task.join {
                join.abort();
            }
            cut_save(&scope);
        }
    }
}

async fn save(scope: &Arc<Inner>, hook: Hook, limit: Time, level: Level, reason: Reason) {
    set_saved(scope, Saved::Unfinished);
    let begun = scope.shared.now();
    let level = level.max(scope.shared.level());
    let end = End { reason, level, remaining: limit.saturating_sub(begun), tasks: scope.groups() };
    let result = catch_panic(async move { hook(end).await }).await;
    let took = scope.shared.now().saturating_sub(begun);
    let (outcome, message) = match result {
        Ok(Ok(())) => return set_saved(scope, Saved::Done { took }),
        Ok(Err(error)) => (Outcome::Failed, chain(error.as_ref())),
        Err(panic) => (Outcome::Panicked, panic),
    };
    set_saved(scope, Saved::Failed { took, message: message.clone() });
    scope.shared.note_failure(Failure {
        component: scope.name.clone(),
        task: Some("on_stop".to_owned()),
        site: None,
        outcome,
        message,
        at: scope.shared.now(),
    });
}

fn set_saved(scope: &Inner, saved: Saved) {
    lock(&scope.local).saved = Some(saved.clone());
    if !matches!(saved, Saved::NotRun | Saved::Unfinished) {
        tell_saved(scope, saved);
    }
}

fn cut_save(scope: &Inner) {
    let cut = {
        let mut local = lock(&scope.local);
        let pending = local.save_is_pending();
        local.cut_saves += u64::from(pending);
        local.saved.clone().filter(|saved| *saved == Saved::Unfinished)
    };
    if let Some(saved) = cut {
        tell_saved(scope, saved);
    }
}

fn tell_saved(scope: &Inner, saved: Saved) {
    scope.shared.tell(&Told::Saved { component: scope.name.clone(), saved, at: scope.shared.now() });
}

/// How long a nested scope may take whose service is not stopping.
pub(crate) fn left_for_nested(inner: &Inner) -> Duration {
    let now = inner.shared.now();
    inner.nearest_limit().map_or_else(|| inner.shared.total(), |limit| limit.saturating_sub(now))
}
