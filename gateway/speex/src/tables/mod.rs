//! The standard's numbers: what both ends of a Speex call must have in common, to the digit.

pub(crate) mod gain;
pub(crate) mod innovation;
pub(crate) mod lsp;
pub(crate) mod qmf;
pub(crate) mod vbr;
pub(crate) mod window;
