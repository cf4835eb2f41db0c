//! What the parts that do without a lock are made of. They name it by this module, so that the models
//! in `models/` can give them another one, which tries out all orders of the threads.

pub(crate) use std::sync::atomic;

pub(crate) use tokio::{
    sync::futures::Notified,
    task::coop::{Unconstrained, has_budget_remaining, unconstrained},
};
