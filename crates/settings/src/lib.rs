//! Reads a YAML file by hand: every value knows its line and the path of its key, and says what to write where it is wrong.
//!
//! [`load`] makes a tree of the text, [`At`] reads one value of it by type, [`Fields`] the keys of a mapping. No tags, anchors or aliases:
//! such a file is written out, and cannot explode. Pure: nothing here reads a file or the environment.
//!
//! ```
//! let root = settings::load("redis:\n  port: many\n")?;
//! let mut fields = settings::At::root(&root).fields("keys with values")?;
//! let mut redis = fields.required("redis", "a section")?.fields("keys with values")?;
//!
//! let error = redis.required("port", "a number")?.number::<u16>("a number from 0 to 65535").unwrap_err();
//!
//! assert_eq!(error.to_string(), "line 2: `redis.port` is `many`; write a number from 0 to 65535");
//! # Ok::<(), settings::Error>(())
//! ```

mod fields;
mod yaml;

pub use self::{
    fields::{At, Error, Fields, Result},
    yaml::{Node, Value, load},
};
