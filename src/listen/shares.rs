//! Something that there is only so much of (places for connections, bytes of memory), and how much of it one peer may hold, so that
//! who floods a door does not lock out the others.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stock that is shared out among peers. It knows as many peers as hold something, so it is as bounded as what it shares out.
#[derive(Debug)]
pub struct Shares {
    all: usize,
    per_peer: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// What there is not enough of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// Everything is shared out.
    All,
    /// The peer holds its share.
    Peer,
}

/// What somebody holds; comes back when it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Arc<Shares>,
    peer: IpAddr,
    amount: usize,
}

impl Shares {
    /// A stock of `all`, of which one peer gets at most `per_peer`.
    pub fn new(all: usize, per_peer: usize) -> Arc<Shares> {
        Arc::new(Shares { all, per_peer, held: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A share of that peer, of nothing yet.
    pub fn of(self: &Arc<Self>, peer: IpAddr) -> Share {
        Share { of: Arc::clone(self), peer: holder(peer), amount: 0 }
    }

    /// Who holds most, where one of them could give one to that peer and would still hold no less than it does then; otherwise nobody.
    /// So what is given never comes back: with each time the shares are more equal than before.
    pub(super) fn rich_beside(&self, peer: IpAddr) -> HashSet<IpAddr> {
        let held = self.lock();
        let most = held.by_peer.values().copied().max().unwrap_or(0);
        let its = held.by_peer.get(&holder(peer)).copied().unwrap_or(0);
        if most <= its + 1 {
            return HashSet::new();
        }
        held.by_peer.iter().filter(|(_, amount)| **amount == most).map(|(peer, _)| *peer).collect()
    }
}

/// Who an address is taken to be: an IPv6 host has a whole /64 to send from (RFC 4291 §2.5.1).
pub(crate) fn holder(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
        v4 => v4,
    }
}

impl Share {
    /// Makes it this large. It stays as it was where there is not enough; what is given back is always taken.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn resize(&mut self, amount: usize) -> Result<(), Exhausted> {
        if amount == self.amount {
            return Ok(());
        }
        let mut held = self.of.lock();
        let mine = held.by_peer.get(&self.peer).copied().unwrap_or(0);
        // Both hold what this share is now.
        let (all, mine) = ((held.all - self.amount).saturating_add(amount), (mine - self.amount).saturating_add(amount));
        if amount > self.amount {
            if mine > self.of.per_peer {
                return Err(Exhausted::Peer);
            }
            if all > self.of.all {
                return Err(Exhausted::All);
            }
        }
        held.all = all;
        if mine == 0 {
            held.by_peer.remove(&self.peer);
        } else {
            held.by_peer.insert(self.peer, mine);
        }
        self.amount = amount;
        Ok(())
    }

    /// Makes it larger by that much.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn grow(&mut self, by: usize) -> Result<(), Exhausted> {
        self.resize(self.amount.saturating_add(by))
    }

    /// Gives that much back.
    pub fn shrink(&mut self, by: usize) {
        // Giving back never fails.
        let _ = self.resize(self.amount.saturating_sub(by));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.amount);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_peer_gets_its_share_and_all_together_what_there_is() {
        let stock = Shares::new(10, 6);
        let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
        let (mut a, mut again, mut b) = (stock.of(ip(1)), stock.of(ip(1)), stock.of(ip(2)));
        assert_eq!(a.resize(5), Ok(()));
        assert_eq!(again.resize(2), Err(Exhausted::Peer));
        assert_eq!(again.resize(1), Ok(()));
        assert_eq!(b.resize(5), Err(Exhausted::All));
        assert_eq!(b.grow(4), Ok(()));
        assert_eq!(a.resize(2), Ok(()), "less is always possible");
        assert_eq!(b.grow(2), Ok(()));
        drop((a, again, b));
        let held = stock.held.lock().unwrap();
        assert_eq!((held.all, held.by_peer.len()), (0, 0));
    }

    #[test]
    fn an_ipv6_network_is_one_peer() {
        let stock = Shares::new(10, 1);
        let mut one = stock.of("2001:db8::1".parse().unwrap());
        assert_eq!(one.resize(1), Ok(()));
        assert_eq!(stock.of("2001:db8::ffff:2".parse().unwrap()).resize(1), Err(Exhausted::Peer));
        assert_eq!(stock.of("2001:db8:0:1::1".parse().unwrap()).resize(1), Ok(()));
        let stock = Shares::new(3, 3);
        let held: Vec<Share> = ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
            .map(|ip| {
                let mut share = stock.of(ip.parse().unwrap());
                assert_eq!(share.resize(1), Ok(()));
                share
            })
            .into();
        assert_eq!(stock.rich_beside("192.0.2.1".parse().unwrap()), HashSet::from(["2001:db8::".parse().unwrap()]));
        assert_eq!(stock.rich_beside("2001:db8::4".parse().unwrap()), HashSet::new(), "it is the same peer");
        drop(held);
        assert_eq!(holder("::ffff:192.0.2.1".parse().unwrap()), IpAddr::from([192, 0, 2, 1]));
    }

    proptest! {
        /// Whoever has to give one up asks for another at once, and everybody wants as much as there is.
        #[test]
        fn giving_comes_to_an_end_when_all_hold_the_same(all in 1..60usize, first in vec(0..20u8, 0..60), asking in vec(0..20u8, 1..200)) {
            let stock = Shares::new(all, all);
            let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
            let mut given: HashMap<u8, Vec<Share>> = HashMap::new();
            let take = |given: &mut HashMap<u8, Vec<Share>>, n: u8| {
                let mut share = stock.of(ip(n));
                let taken = share.resize(1);
                if taken.is_ok() {
                    given.entry(n).or_default().push(share);
                }
                taken
            };
            for n in first {
                let _ = take(&mut given, n);
            }
            let mut asking = VecDeque::from(asking);
            let wanted: HashSet<u8> = asking.iter().copied().collect();
            let mut times = 0;
            while let Some(n) = asking.pop_front() {
                if take(&mut given, n).is_ok() {
                    asking.push_back(n);
                    continue;
                }
                let before = given.get(&n).map_or(0, Vec::len);
                let Some(rich) = given.keys().copied().find(|k| stock.rich_beside(ip(n)).contains(&ip(*k))) else { continue };
                given.get_mut(&rich).unwrap().pop();
                prop_assert!(given[&rich].len() > before, "it has no less than the other has now");
                prop_assert_eq!(take(&mut given, n), Ok(()));
                asking.extend([n, rich]);
                times += 1;
                prop_assert!(times <= all * all, "it goes on for ever");
            }
            let most = given.values().map(Vec::len).max().unwrap_or(0);
            for n in wanted {
                let its = given.get(&n).map_or(0, Vec::len);
                prop_assert!(its + 1 >= most, "{} has {} of {}, another {}", n, its, all, most);
            }
            prop_assert_eq!(given.values().map(Vec::len).sum::<usize>(), all);
        }
    }
}
