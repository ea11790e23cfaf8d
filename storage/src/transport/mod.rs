//! Unix domain sockets: who may connect, and frames going in and out within time limits.
//!
//! Nothing here knows what a frame means.

mod error;
mod frame_reader;
mod frame_writer;
mod listener;

pub use error::TransportError;
pub use frame_reader::FrameReader;
pub use frame_writer::{FrameWriter, OutgoingFrame};
pub use listener::{PeerPolicy, SocketListener};
