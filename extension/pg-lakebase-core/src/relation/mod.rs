//! Relations: the relcache entry as a typed handle, and opening one.

mod handle;
mod locator;
mod lock;
mod name;
mod open;
mod regclass;
mod tuple_desc;

pub use handle::{Persistence, Relation, RelationKind};
pub use locator::{ForkNumber, RelFileLocator};
pub use lock::LockMode;
pub use name::name_text;
pub use open::OpenRelation;
pub use regclass::Regclass;
pub use tuple_desc::{Attribute, TupleDesc};
