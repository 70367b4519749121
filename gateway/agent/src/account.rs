//! The phone's account, checked: nothing that it wrote at `connect` can break out of a SIP header.

use std::fmt;

use crate::{
    Account, Rights,
    destination::{Address, check_name, quoted},
    words::{self, Preferences},
};

/// Who the agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) address: Address,
    display_name: Option<String>,
    pub(crate) preferences: Preferences,
    /// A password was given: REGISTER (contract section 2).
    pub(crate) registers: bool,
    pub(crate) rights: Rights,
}

impl Identity {
    /// What is wrong with the account, in words for `connect`'s error.
    pub(crate) fn check(account: &Account) -> Result<Self, String> {
        let address = Address::parse(&account.address).map_err(|error| format!("bad address: {error}"))?;
        let named =
            [("login", &account.login), ("password", &account.password), ("display name", &account.display_name)];
        for (name, value) in named {
            check_name(value.as_deref().unwrap_or_default()).map_err(|error| format!("bad {name}: {error}"))?;
        }
        let preferences =
            Preferences { rate: account.rate, codecs: account.codecs.clone(), plays_opus: account.plays_opus };
        if words::everything(&preferences).is_none() {
            return Err("no audio codec in the list that can be used".to_owned());
        }
        Ok(Self {
            address,
            display_name: account.display_name.clone().filter(|name| !name.trim().is_empty()),
            preferences,
            registers: account.password.as_ref().is_some_and(|password| !password.is_empty()),
            rights: account.rights.clone(),
        })
    }

    /// Our own address as `invited` tells it: `"Alice" <sip:alice@host>` or `sip:alice@host`.
    pub(crate) fn text(&self) -> String {
        match &self.display_name {
            Some(name) => format!("{} <{}>", quoted(name), self.address),
            None => self.address.to_string(),
        }
    }
}

/// Secrets stay out of logs.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("address", &self.address)
            .field("login", &self.login)
            .field("password", &self.password.as_ref().map(|_| "..."))
            .field("display_name", &self.display_name)
            .field("rate", &self.rate)
            .field("codecs", &self.codecs)
            .field("plays_opus", &self.plays_opus)
            .field("rights", &self.rights)
            .finish()
    }
}
