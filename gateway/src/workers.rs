//! Media workers: the threads on which phones live.
//!
//! ```text
//!  main thread                      media-0, media-1, ... (one a core)
//!  accept, HTTP, SIP stack --phone--> its runtime: the phone's connection, timers, RTP sockets, to its end
//! ```
//!
//! Each worker is a runtime of one thread. A phone's packets are received, worked on and sent on by the thread that the kernel
//! woke for them; nothing is handed to another core, and no worker waits for another one's lock. (With tokio's work stealing a
//! tenth of a relayed call was waking and searching threads.)
//!
//! A worker with many calls *breathes*: before it asks the kernel what has come it sleeps for [`BREATH`], so that one wake-up serves
//! what came for all its calls meanwhile. That costs each packet half a breath on average and saves most wake-ups: two fifths of a
//! relayed call where packets come one by one, nothing where they come in bursts anyway (docs/performance.md).

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tracing::error;

/// How long a worker with many calls lets packets gather.
pub const BREATH: Duration = Duration::from_micros(500);

/// Calls of one worker from which on it breathes: they bring a packet for every breath.
pub const BREATHE_FROM: usize = 20;

thread_local! {
    /// Calls with media on this thread.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    /// When this worker looked for packets.
    static LOOKS: Cell<Option<Looks>> = const { Cell::new(None) };
}

/// The kernel is asked, answers, phones are polled, the worker breathes, the kernel is asked once more.
#[derive(Debug, Clone, Copy)]
struct Looks {
    /// The last answer but one, or the last one if it was waited for.
    before: Instant,
    /// The last answer.
    last: Instant,
    /// When the kernel was asked last.
    asked: Instant,
}

/// An answer that takes longer was waited for: nothing had come before.
const PROMPT: Duration = Duration::from_millis(1);

impl Looks {
    fn first(now: Instant) -> Self {
        Looks { before: now, last: now, asked: now }
    }

    fn ask(&mut self, now: Instant) {
        self.asked = now;
    }

    fn answered(&mut self, now: Instant) {
        let waited = now.saturating_duration_since(self.asked) > PROMPT;
        self.before = if waited { now } else { self.last };
        self.last = now;
    }
}

/// Where new phones are placed.
#[derive(Debug, Clone)]
pub struct Workers(Arc<[Worker]>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    phones: Arc<AtomicUsize>,
}

/// The threads; they end when this is dropped, and so does every phone that is left on them.
#[derive(Debug, Default)]
pub struct WorkerThreads(Vec<(oneshot::Sender<()>, JoinHandle<()>)>);

/// A phone's place on a worker.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

/// A call with media on this thread. It must be dropped on the thread that made it: a phone never leaves its worker.
#[derive(Debug)]
pub struct LiveCall(());

impl Workers {
    /// Starts `count` workers, at least one.
    ///
    /// # Errors
    /// The system gives no thread or no epoll.
    pub fn start(count: usize) -> io::Result<(Workers, WorkerThreads)> {
        let mut threads = WorkerThreads::default();
        let mut workers = Vec::new();
        for number in 0..count.max(1) {
            let runtime =
                Builder::new_current_thread().enable_all().on_thread_park(breathe).on_thread_unpark(look).build()?;
            workers.push(Worker { runtime: runtime.handle().clone(), phones: Arc::default() });
            let (stop, stopped) = oneshot::channel();
            let run = move || drop(runtime.block_on(stopped));
            threads.0.push((stop, std::thread::Builder::new().name(format!("media-{number}")).spawn(run)?));
        }
        Ok((Workers(workers.into()), threads))
    }

    /// Runs `start` on the worker with the fewest phones; what it spawns stays there.
    pub fn place<F>(&self, start: impl FnOnce(Place) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let fewest = self.0.iter().min_by_key(|worker| worker.phones.load(Ordering::Relaxed));
        let Worker { runtime, phones } = fewest.expect("there is one at least");
        phones.fetch_add(1, Ordering::Relaxed);
        let place = Place(phones.clone());
        runtime.spawn(async move { start(place).await });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for WorkerThreads {
    fn drop(&mut self) {
        let (stops, threads): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0).into_iter().unzip();
        drop(stops);
        for thread in threads {
            if thread.join().is_err() {
                error!("a media worker has panicked");
            }
        }
    }
}

impl LiveCall {
    /// One more on this thread.
    pub fn begin() -> LiveCall {
        CALLS.set(CALLS.get() + 1);
        LiveCall(())
    }
}

impl Drop for LiveCall {
    fn drop(&mut self) {
        CALLS.set(CALLS.get().saturating_sub(1));
    }
}

/// Before the worker asks what has come.
fn breathe() {
    if breathes() {
        std::thread::sleep(BREATH);
    }
    note(Looks::ask);
}

/// Whether this thread has calls enough.
fn breathes() -> bool {
    CALLS.get() >= BREATHE_FROM
}

/// The worker was told what has come.
fn look() {
    note(Looks::answered);
}

fn note(what: fn(&mut Looks, Instant)) {
    let now = Instant::now();
    let mut looks = LOOKS.get().unwrap_or(Looks::first(now));
    what(&mut looks, now);
    LOOKS.set(Some(looks));
}

/// What a phone on this thread finds at `now` had not come at this moment: the worker looked then. However long the worker
/// was held up since, by its work or by the machine, is no lateness of the phone's.
pub fn looked_before(now: Instant) -> Instant {
    LOOKS.get().map_or(now, |looks| looks.before.min(now))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{ThreadId, current};

    use super::*;

    #[test]
    fn phones_are_spread_and_stay_on_their_thread() {
        let (workers, threads) = Workers::start(2).unwrap();
        let (tell, told) = mpsc::channel::<(ThreadId, ThreadId)>();
        let mut stay = Vec::new();
        for _ in 0..6 {
            let (keep, kept) = oneshot::channel::<()>();
            stay.push(keep);
            let tell = tell.clone();
            workers.place(move |place| async move {
                let first = current().id();
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    tell.send((first, current().id())).unwrap();
                    let _ = kept.await;
                    drop(place);
                });
            });
        }
        let homes: Vec<(ThreadId, ThreadId)> = (0..6).map(|_| told.recv().unwrap()).collect();
        assert!(homes.iter().all(|(placed, spawned)| placed == spawned));
        assert_eq!(homes.iter().filter(|(home, _)| *home == homes[0].0).count(), 3);
        drop(threads);
        assert!(stay.iter().all(oneshot::Sender::is_closed), "what was left ended with its thread");
        assert!(workers.0.iter().all(|worker| worker.phones.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn a_place_that_became_free_is_taken_first() {
        let (workers, _threads) = Workers::start(2).unwrap();
        let (tell, told) = mpsc::channel();
        let place = || {
            let tell = tell.clone();
            workers.place(move |place| async move { tell.send((current().id(), place)).unwrap() });
            told.recv().unwrap()
        };
        let (first, second, third) = (place(), place(), place());
        assert_eq!(first.0, third.0);
        assert_ne!(first.0, second.0);
        drop((first, third));
        assert_eq!(place().0, place().0, "its neighbour has one phone and it has none");
    }

    #[test]
    fn what_is_found_late_may_have_come_while_the_worker_was_held_up_but_not_before_it_looked() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut looks = Looks::first(at(0));
        looks.ask(at(1));
        looks.answered(at(21)); // it slept until something came
        assert_eq!(looks.before, at(21));
        looks.ask(at(22));
        looks.answered(at(22));
        assert_eq!(looks.before, at(21));
        looks.ask(at(80)); // 58 ms of work, or of a breath that took too long
        looks.answered(at(80));
        assert_eq!(looks.before, at(22), "it may have come any time since");
        looks.ask(at(81));
        looks.answered(at(101));
        assert_eq!(looks.before, at(101));
    }

    #[test]
    fn nothing_comes_before_it_is_found_where_nobody_looks() {
        let now = Instant::now();
        assert_eq!(looked_before(now), now);
    }

    #[test]
    fn only_a_worker_with_many_calls_breathes() {
        let calls: Vec<LiveCall> = (1..BREATHE_FROM).map(|_| LiveCall::begin()).collect();
        assert!(!breathes());
        let last = LiveCall::begin();
        assert!(breathes());
        let begin = Instant::now();
        breathe();
        assert!(begin.elapsed() >= BREATH);
        drop((calls, last));
        assert_eq!(CALLS.get(), 0);
    }
}
