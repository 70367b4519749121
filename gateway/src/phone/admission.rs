//! Who is let in: bounds on phones and calls, as permits that give the place back when dropped.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionLimits {
    /// RTMP connections at one time.
    pub phones: usize,
    /// RTMP connections at one time from one IPv4 address or IPv6 /64 network.
    pub phones_per_ip: usize,
    /// Calls at one time.
    pub calls: usize,
}

/// Why a phone is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// [`AdmissionLimits::phones`].
    #[error("max-phones reached")]
    Phones,
    /// [`AdmissionLimits::phones_per_ip`].
    #[error("limits.phones-per-ip reached")]
    PhonesPerIp,
}

/// The door. One for the process.
#[derive(Debug)]
pub struct Admission {
    limits: AdmissionLimits,
    phones: Mutex<Phones>,
    calls: AtomicUsize,
}

#[derive(Debug, Default)]
struct Phones {
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// A phone's place.
#[derive(Debug)]
pub struct PhonePermit {
    admission: Arc<Admission>,
    ip: IpAddr,
}

/// A call's place.
#[derive(Debug)]
pub struct CallPermit(Arc<Admission>);

impl Admission {
    /// A door with these bounds.
    pub fn new(limits: AdmissionLimits) -> Arc<Admission> {
        Arc::new(Admission { limits, phones: Mutex::default(), calls: AtomicUsize::new(0) })
    }

    /// A place for a phone at `ip`.
    ///
    /// # Errors
    /// Which bound stands in the way.
    pub fn phone(self: &Arc<Self>, ip: IpAddr) -> Result<PhonePermit, Refusal> {
        let ip = network(ip);
        let mut phones = self.phones.lock().unwrap_or_else(PoisonError::into_inner);
        if phones.all >= self.limits.phones {
            return Err(Refusal::Phones);
        }
        let here = phones.by_ip.entry(ip).or_default();
        if *here >= self.limits.phones_per_ip {
            return Err(Refusal::PhonesPerIp);
        }
        *here += 1;
        phones.all += 1;
        Ok(PhonePermit { admission: self.clone(), ip })
    }

    /// A place for a call, if there is one left.
    pub fn call(self: &Arc<Self>) -> Option<CallPermit> {
        self.calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| {
                (calls < self.limits.calls).then_some(calls + 1)
            })
            .ok()
            .map(|_| CallPermit(self.clone()))
    }

    /// Whether a call would find a place now.
    pub fn has_room_for_call(&self) -> bool {
        self.calls.load(Ordering::Relaxed) < self.limits.calls
    }
}

impl PhonePermit {
    /// Where the phone is: its IPv4 address or IPv6 /64 network.
    pub fn source(&self) -> IpAddr {
        self.ip
    }
}

/// What counts as one source: an IPv6 host owns its whole /64 (RFC 4291 section 2.5.4).
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

impl Drop for PhonePermit {
    fn drop(&mut self) {
        let mut phones = self.admission.phones.lock().unwrap_or_else(PoisonError::into_inner);
        phones.all -= 1;
        if let Some(here) = phones.by_ip.get_mut(&self.ip) {
            *here -= 1;
            if *here == 0 {
                phones.by_ip.remove(&self.ip);
            }
        }
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Arc<Admission> {
        Admission::new(AdmissionLimits { phones: 3, phones_per_ip: 2, calls: 1 })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_free_again_when_its_permit_is_dropped() {
        let door = door();
        let first = door.phone(ip("192.0.2.1")).unwrap();
        let _second = door.phone(ip("192.0.2.1")).unwrap();
        assert_eq!(door.phone(ip("192.0.2.1")).unwrap_err(), Refusal::PhonesPerIp);
        let _third = door.phone(ip("192.0.2.2")).unwrap();
        assert_eq!(door.phone(ip("192.0.2.3")).unwrap_err(), Refusal::Phones);
        drop(first);
        assert!(door.phone(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn nothing_is_remembered_of_an_address_that_left() {
        let door = door();
        drop(door.phone(ip("192.0.2.1")).unwrap());
        assert!(door.phones.lock().unwrap().by_ip.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_source() {
        let door = door();
        let _first = door.phone(ip("2001:db8::1")).unwrap();
        let _second = door.phone(ip("2001:db8::ffff:2")).unwrap();
        assert_eq!(door.phone(ip("2001:db8::3")).unwrap_err(), Refusal::PhonesPerIp);
        assert!(door.phone(ip("2001:db8:0:1::3")).is_ok());
    }

    #[test]
    fn calls_stop_at_their_bound() {
        let door = door();
        let call = door.call().unwrap();
        assert!(!door.has_room_for_call() && door.call().is_none());
        drop(call);
        assert!(door.call().is_some());
    }
}
