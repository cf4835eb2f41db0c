//! Everything that a server says or does, one test each: what is stored is right, what is wrong is remembered, and nobody is asked
//! more often than may be.

mod bodies;
mod http2;
mod memory;
mod redirects;
mod refresh;
mod refusals;
mod secrets;
mod sources;
mod support;
mod time;
mod wire;
