//! What the product does: one RTMP connection is one SIP user agent, and this is its behaviour.
//!
//! ```text
//! RTMP commands -> Command ->  UserAgent  -> SipAction   -> the SIP stack
//! RTMP calls   <- Indication <-    |     <- SipEvent    <- the SIP stack
//!                                  v
//!                             MediaAction -> call-media's MediaPath
//! ```
//!
//! No socket, task or clock: time is an argument. SIP transactions, dialogs and digest are the SIP stack's; offer/answer, the order
//! of things and every word that the phone hears are decided here.
#![forbid(unsafe_code)]

mod account;
mod call;
pub mod command;
mod context;
pub mod destination;
mod dice;
mod limits;
mod messages;
mod pace;
mod presses;
mod reason;
mod registration;
pub mod rights;
pub mod sip;
#[cfg(test)]
mod tests;
pub mod topics;
pub mod user_agent;
mod words;

pub use command::{Account, CodecWord, Command, Indication, SpeexRate};
pub use rights::Rights;
pub use sip::{CallHandle, MessageHandle, MessageTarget, SipAction, SipEvent, SipStatus};
pub use topics::{Topic, Topics};
pub use user_agent::{Input, MediaAction, Output, UserAgent};
