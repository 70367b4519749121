//! The pacer alone: arrivals in, departures out.

use super::*;
use crate::testing::{Random, epoch};

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}

/// Pushes frame n, which sounds at n x 20 ms, at its arrival, and polls at every deadline. Returns for each frame sent
/// its number and departure in ms.
fn run(frames: usize, arrival_ms: impl Fn(usize) -> f64) -> Vec<(usize, f64)> {
    run_held_up(frames, |n| (arrival_ms(n), arrival_ms(n)))
}

/// The same; the driver looks last at the first of the two times, and finds the frame at the second.
fn run_held_up(frames: usize, looks_ms: impl Fn(usize) -> (f64, f64)) -> Vec<(usize, f64)> {
    let mut pacer = Pacer::new(MediaTime::from_ms(20));
    let mut departures = Vec::new();
    let mut pump = |pacer: &mut Pacer<usize>, now: Instant| {
        while let Some(popped) = pacer.pop(now, |_| false) {
            departures.push((popped.unit, (now - epoch()).as_secs_f64() * 1000.0));
        }
        while pacer.fill(now, ms(20.0)).is_some() {}
    };
    for n in 0..frames {
        let (came, now) = looks_ms(n);
        let (came, now) = (epoch() + ms(came), epoch() + ms(now));
        while let Some(deadline) = pacer.deadline().filter(|deadline| *deadline < now) {
            pump(&mut pacer, deadline);
        }
        pump(&mut pacer, now);
        pacer.push(now, came, MediaTime::from_ms(20 * n as i64), MediaTime::from_ms(20), n);
        pump(&mut pacer, now);
    }
    departures
}

fn delays(departures: &[(usize, f64)]) -> Vec<f64> {
    departures.iter().map(|(n, at)| at - 20.0 * *n as f64).collect()
}

fn largest_interval_error(departures: &[(usize, f64)]) -> f64 {
    departures.windows(2).map(|w| (w[1].1 - w[0].1 - 20.0 * (w[1].0 - w[0].0) as f64).abs()).fold(0.0, f64::max)
}

#[test]
fn a_calm_stream_is_not_held() {
    let mut random = Random::new(2);
    let jitter: Vec<f64> = (0..3000).map(|_| random.uniform() * 1.4).collect();
    let departures = run(3000, |n| 20.0 * n as f64 + jitter[n]);
    let mut delays = delays(&departures);
    delays.sort_by(f64::total_cmp);
    assert_eq!(delays.len(), 3000);
    assert!(delays[1500] < 1.0 && delays[2970] < 2.0, "{} {}", delays[1500], delays[2970]);
}

#[test]
fn a_driver_that_is_held_up_now_and_then_delays_nothing_beyond_that() {
    // Each second one round of the driver takes 35 ms.
    let found = |n: usize| {
        let at = 20.0 * n as f64;
        let held = (500.0..535.0).contains(&(at % 1000.0));
        (at, if held { at - at % 1000.0 + 535.0 } else { at })
    };
    let calm = |departures: Vec<(usize, f64)>| {
        let all = delays(&departures);
        (departures.len(), all.iter().filter(|delay| **delay < 1.0).count())
    };
    let (sent, at_once) = calm(run_held_up(2000, found));
    assert_eq!((sent, at_once), (2000, 2000 - 2 * 40), "two frames a second were found late");
    let (_, at_once) = calm(run(2000, |n| found(n).1));
    assert!(at_once < 200, "the network's lateness is another matter: {at_once} without delay");
}

#[test]
fn bursts_leave_evenly() {
    for burst in [2, 3, 5, 10, 15] {
        // All frames of a burst come with its last one.
        let departures = run(130 * burst, |n| 20.0 * (n / burst * burst + burst - 1) as f64);
        assert_eq!(departures.len(), 130 * burst - (burst - 1), "bursts of {burst}: all but those still waiting");
        assert!(largest_interval_error(&departures[2 * burst..]) < 2.0, "bursts of {burst}");
        let longest = delays(&departures).into_iter().fold(0.0, f64::max);
        assert!(longest <= 20.0 * burst as f64, "bursts of {burst}: {longest}");
    }
}

#[test]
fn after_a_stall_the_delay_is_back_within_a_second_and_only_the_backlog_is_lost() {
    for stall in [300.0, 500.0, 1000.0, 2000.0, 5000.0] {
        let (begin, end) = (4000.0, 4000.0 + stall);
        let departures = run(1000, |n| {
            let at = 20.0 * n as f64;
            if (begin..end).contains(&at) { end } else { at }
        });
        let after: Vec<_> = departures.iter().filter(|(_, at)| *at > end + 1000.0).copied().collect();
        let worst = delays(&after).into_iter().fold(0.0, f64::max);
        assert!(worst < 20.5, "a stall of {stall} ms leaves {worst} ms");
        let lost = 1000 - departures.len();
        assert!(lost as f64 <= stall / 20.0 + 1.0, "a stall of {stall} ms loses {lost} frames");
    }
}

#[test]
fn clocks_apart_by_500_ppm_neither_lose_frames_nor_gather_delay_for_an_hour() {
    for ppm in [-500.0, 500.0] {
        let frame_ms = 20.0 * (1.0 + ppm / 1e6);
        let departures = run(180_000, |n| frame_ms * n as f64);
        assert!(departures.len() >= 179_999, "all but the last, which may wait");
        let hold = departures.iter().map(|(n, at)| at - frame_ms * *n as f64).fold(0.0, f64::max);
        assert!(hold < 6.0, "{ppm} ppm: held {hold} ms");
        let uneven = departures.windows(2).map(|w| (w[1].1 - w[0].1 - frame_ms).abs()).fold(0.0, f64::max);
        assert!(uneven < 3.0, "{ppm} ppm: {uneven} ms");
    }
}

#[test]
fn jitter_of_arrivals_is_taken_out() {
    let mut random = Random::new(9);
    let jitter: Vec<f64> = (0..5000).map(|_| random.uniform() * 15.0).collect();
    let departures = run(5000, |n| 20.0 * n as f64 + jitter[n]);
    assert_eq!(departures.len(), 5000);
    // Interarrival jitter as a receiver computes it (RFC 3550 appendix A.8).
    let mut measured = 0.0;
    for pair in departures.windows(2) {
        measured += ((pair[1].1 - pair[0].1 - 20.0).abs() - measured) / 16.0;
        if pair[0].0 > 100 {
            assert!(measured < 2.0, "{measured} ms at frame {}", pair[0].0);
        }
    }
}

/// As [`run`], with every unit quiet whose number `is_quiet` says; returns place, number and departure in ms of what left.
fn run_with_pauses(
    frames: usize,
    is_quiet: impl Fn(usize) -> bool,
    arrival_ms: impl Fn(usize) -> f64,
) -> (Vec<(i64, usize, f64)>, Pacer<usize>) {
    let mut pacer = Pacer::new(MediaTime::from_ms(20));
    let mut left = Vec::new();
    let mut pump = |pacer: &mut Pacer<usize>, now: Instant| {
        let at = (now - epoch()).as_secs_f64() * 1000.0;
        while let Some(popped) = pacer.pop(now, |n| is_quiet(*n)) {
            let places = [Some(popped.at), popped.repeated];
            left.extend(places.into_iter().flatten().map(|place| (place.to_ms(), popped.unit, at)));
        }
        while pacer.fill(now, ms(20.0)).is_some() {}
    };
    for n in 0..frames {
        let now = epoch() + ms(arrival_ms(n));
        while let Some(deadline) = pacer.deadline().filter(|deadline| *deadline < now) {
            pump(&mut pacer, deadline);
        }
        pump(&mut pacer, now);
        pacer.push(now, now, MediaTime::from_ms(20 * n as i64), MediaTime::from_ms(20), n);
        pump(&mut pacer, now);
    }
    (left, pacer)
}

/// Nothing comes for `length` ms from each of `starts` on.
fn held(n: usize, starts: &[f64], length: f64) -> f64 {
    let at = 20.0 * n as f64;
    starts.iter().find(|start| (**start..**start + length).contains(&at)).map_or(at, |start| start + length)
}

#[test]
fn what_is_late_once_leaves_at_once_in_its_own_time_and_delays_nothing_else() {
    for length in [30.0, 70.0, 105.0] {
        let (left, pacer) = run_with_pauses(500, |_| false, |n| held(n, &[4000.0], length));
        assert_eq!(left.len(), 500, "{length}");
        for (place, n, at) in left {
            assert_eq!(place, 20 * n as i64, "{length}");
            assert!((at - held(n, &[4000.0], length)).abs() < 0.1, "{length}: frame {n} at {at}");
        }
        assert_eq!((pacer.shift(), pacer.dropped()), (MediaTime::ZERO, 0));
    }
}

#[test]
fn what_is_late_again_is_waited_for_from_the_next_pause_on() {
    // A pause of 400 ms from 6 s on; before it a consonant closes for 60 ms.
    let is_quiet = |n: usize| (300..320).contains(&n) || (270..273).contains(&n);
    let starts = [3000.0, 5000.0, 8000.0, 9000.0];
    let (left, pacer) = run_with_pauses(500, is_quiet, |n| held(n, &starts, 100.0));
    let twice: Vec<usize> = left.windows(2).filter(|pair| pair[0].1 == pair[1].1).map(|pair| pair[0].1).collect();
    // The schedule has moved by 40 ms before.
    assert!(twice.len() == 3 && twice.iter().all(|n| (305..320).contains(n)), "sent twice: {twice:?}");
    assert_eq!((pacer.shift(), pacer.dropped()), (MediaTime::from_ms(60), 0));
    let behind: Vec<_> = left.iter().filter(|(_, n, _)| *n > 320).collect();
    let uneven = behind.windows(2).filter(|pair| (pair[1].2 - pair[0].2 - 20.0).abs() > 0.1).count();
    assert_eq!((uneven, behind.len()), (0, 174), "the third time and the fourth nothing is late any more");
}

#[test]
fn what_noise_has_filled_is_left_out_and_what_only_paused_is_not() {
    let (left, pacer) = run_with_pauses(500, |_| false, |n| held(n, &[4000.0], 200.0));
    assert_eq!((pacer.shift(), pacer.dropped()), (MediaTime::ZERO, 10));
    assert!(left.iter().all(|(place, n, _)| *place == 20 * *n as i64));
    // A phone that did not count 200 ms is behind them from then on.
    let (left, pacer) = run_with_pauses(500, |_| false, |n| 20.0 * n as f64 + if n < 200 { 0.0 } else { 200.0 });
    assert!(pacer.dropped() <= 1 && left.len() >= 498, "{} left, {} dropped", left.len(), pacer.dropped());
}

#[test]
fn units_cut_from_messages_come_as_they_would() {
    for message in [1, 5, 10, 16, 20, 25, 30, 32, 60, 64, 80] {
        // Arrival of each unit less its place, the first message coming at 0.
        let offset = |unit: i64| (20 * (unit + 1) - 1) / message * message - 20 * unit;
        let offsets = || (0..message).map(|unit| MediaTime::from_ms(offset(unit)));
        let came = Cut {
            first: offsets().next().unwrap(),
            earliest: offsets().min().unwrap(),
            latest: offsets().max().unwrap(),
        };
        assert_eq!(Cut::of(MediaTime::from_ms(message), MediaTime::from_ms(20)), came, "{message} ms");
    }
}

#[test]
fn a_flood_is_bounded() {
    let mut pacer = Pacer::new(MediaTime::from_ms(20));
    for n in 0..100_000 {
        pacer.push(epoch(), epoch(), MediaTime::from_ms(20 * n), MediaTime::from_ms(20), n);
        assert!(pacer.queue.len() <= 25);
    }
    assert!(pacer.dropped() > 99_000);
}
