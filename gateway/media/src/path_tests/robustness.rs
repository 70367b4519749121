//! Input that is wrong, on purpose or not: nothing panics, nothing grows, nothing stands still.

use std::time::Duration;

use proptest::prelude::*;

use super::{Rig, config, ms, peer_packets, phone_messages};
use crate::{
    codec::{Codec, SampleRate},
    path::{Input, Output},
    sdp::{Direction, PayloadFormat},
    testing::{Random, epoch, negotiated, voice},
};

fn every_codec(phone: Codec) -> Rig {
    let mut agreed = negotiated(Codec::SpeexNarrowband);
    agreed.receive = vec![
        PayloadFormat { payload_type: 0, codec: Codec::Pcmu },
        PayloadFormat { payload_type: 8, codec: Codec::Pcma },
        PayloadFormat { payload_type: 96, codec: Codec::SpeexWideband },
        PayloadFormat { payload_type: 98, codec: Codec::SpeexNarrowband },
    ];
    Rig::with(config(agreed, phone))
}

/// A datagram that is RTP more or less.
fn mutated_rtp(random: &mut Random, seeds: &[bytes::Bytes]) -> Vec<u8> {
    let mut datagram = seeds[random.below(seeds.len() as u64) as usize].to_vec();
    for _ in 0..random.below(5) {
        let at = random.below(datagram.len() as u64) as usize;
        datagram[at] = random.next_u64() as u8;
    }
    if random.chance(0.3) {
        datagram.truncate(random.below(datagram.len() as u64 + 1) as usize);
    }
    if random.chance(0.5) && datagram.len() > 1 {
        datagram[1] = [0, 8, 96, 98, 101, 13][random.below(6) as usize];
    }
    datagram
}

#[test]
fn a_hundred_thousand_mutated_packets_and_messages_do_no_harm() {
    for phone in [Codec::SpeexWideband, Codec::Pcmu] {
        let mut rig = every_codec(phone);
        let mut random = Random::new(phone as u64 + 1);
        let mut seeds = peer_packets(Codec::Pcmu, &voice(SampleRate::Hz8000, 200, 1), 1, 0, 0);
        seeds.extend(peer_packets(Codec::SpeexWideband, &voice(SampleRate::Hz16000, 200, 1), 2, 5, 0));
        let messages = phone_messages(Codec::SpeexWideband, &voice(SampleRate::Hz16000, 200, 1), 2);
        let mut now = epoch();
        for _ in 0..50_000 {
            now += Duration::from_micros(random.below(20_000));
            let datagram = mutated_rtp(&mut random, &seeds);
            rig.feed(now, if random.chance(0.1) { Input::Rtcp(&datagram) } else { Input::Rtp(&datagram) });
            let mut body = messages[random.below(messages.len() as u64) as usize].to_vec();
            for _ in 0..random.below(4) {
                let at = random.below(body.len() as u64) as usize;
                body[at] = random.next_u64() as u8;
            }
            body.truncate(random.below(body.len() as u64 + 1) as usize);
            let timestamp_ms = if random.chance(0.1) { random.next_u64() as u32 } else { since_ms(now) };
            rig.feed(now, Input::PhoneAudio { timestamp_ms, body: &body });
            if random.chance(0.01) {
                rig.feed(now, Input::SendDtmf("1*x"));
            }
            rig.out.clear();
        }
        assert!(rig.path.stats().malformed > 1000);
    }
}

fn since_ms(now: std::time::Instant) -> u32 {
    (now - epoch()).as_millis() as u32
}

#[test]
fn a_flood_of_packets_is_answered_by_no_more_messages_than_there_were_frames() {
    let packets = peer_packets(Codec::Pcmu, &voice(SampleRate::Hz8000, 2000, 1), 1, 0, 0);
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexNarrowband);
    for _ in 0..50 {
        packets.iter().for_each(|packet| rig.feed(epoch(), Input::Rtp(packet)));
    }
    assert_eq!(rig.messages().len(), 100);
    assert_eq!(rig.path.stats().downlink.packets, 5000);
}

#[test]
fn an_address_that_is_taken_away_stops_the_sending() {
    let mut agreed = negotiated(Codec::Pcmu);
    (agreed.remote_rtp, agreed.remote_rtcp) = (None, None);
    let mut rig = Rig::with(config(agreed, Codec::SpeexWideband));
    let speech = voice(SampleRate::Hz16000, 2000, 1);
    rig.speak(&phone_messages(Codec::SpeexWideband, &speech, 1));
    rig.advance(epoch() + ms(60_000.0));
    rig.path.stop(epoch() + ms(60_000.0));
    rig.collect(epoch() + ms(60_000.0));
    assert!(rig.out.is_empty(), "{:?}", rig.out);
}

#[test]
fn a_path_that_was_stopped_says_bye_and_nothing_more() {
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    rig.path.stop(epoch() + ms(100.0));
    rig.path.stop(epoch() + ms(100.0));
    rig.collect(epoch() + ms(100.0));
    let [(_, Output::Rtcp(bye))] = &rig.out[..] else { panic!("{:?}", rig.out) };
    assert_eq!(bye[bye.len() - 7], 203, "BYE ends the compound");
    assert_eq!(rig.path.poll_timeout(), None);
    rig.path.handle_input(epoch() + ms(200.0), Input::SendDtmf("1"));
    assert!(rig.path.poll_output().is_none());
}

#[test]
fn two_gateways_report_loss_and_round_trip_to_each_other() {
    let speech = voice(SampleRate::Hz8000, 30_000, 1);
    let messages = phone_messages(Codec::Pcmu, &speech, 1);
    let mut near = Rig::new(Codec::Pcmu, Codec::Pcmu);
    let mut far = {
        let mut other = config(negotiated(Codec::Pcmu), Codec::Pcmu);
        other.ssrc = 99;
        Rig::with(other)
    };
    let one_way = ms(40.0);
    let mut random = Random::new(5);
    // Events in order of time: the near phone speaks, datagrams cross with a delay, a tenth of the RTP is lost.
    let mut crossing: std::collections::VecDeque<(std::time::Instant, bool, Output)> = Default::default();
    for step in 0..30_000u32 {
        let now = epoch() + Duration::from_millis(step as u64);
        if step % 20 == 0 {
            let body = &messages[step as usize / 20];
            near.feed(now, Input::PhoneAudio { timestamp_ms: step, body });
        }
        near.advance(now);
        far.advance(now);
        crossing.extend(near.out.drain(..).map(|(_, output)| (now + one_way, true, output)));
        crossing.extend(far.out.drain(..).map(|(_, output)| (now + one_way, false, output)));
        while crossing.front().is_some_and(|(at, _, _)| *at <= now) {
            let (_, to_far, output) = crossing.pop_front().unwrap();
            let rig = if to_far { &mut far } else { &mut near };
            match output {
                Output::Rtp(packet) if !random.chance(0.1) => rig.feed(now, Input::Rtp(&packet)),
                Output::Rtcp(packet) => rig.feed(now, Input::Rtcp(&packet)),
                _ => {}
            }
        }
    }
    let (here, there) = (near.path.stats(), far.path.stats());
    let round_trip = here.round_trip.unwrap().as_secs_f64();
    assert!((round_trip - 0.080).abs() < 0.004, "{round_trip} s");
    let share = here.remote.cumulative_lost as f64 / 1500.0;
    assert!((0.06..0.13).contains(&share), "{share}");
    assert!((there.downlink.lost as f64 / 1500.0 - 0.1).abs() < 0.03, "{there:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_of_any_input_leaves_a_path_that_works(
        steps in proptest::collection::vec((0u8..6, any::<u32>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..60),
    ) {
        let mut rig = every_codec(Codec::SpeexNarrowband);
        let mut now = epoch();
        for (kind, number, bytes) in steps {
            now += Duration::from_millis(number as u64 % 500);
            match kind {
                0 => rig.feed(now, Input::PhoneAudio { timestamp_ms: number, body: &bytes }),
                1 => rig.feed(now, Input::Rtp(&bytes)),
                2 => rig.feed(now, Input::Rtcp(&bytes)),
                3 => rig.feed(now, Input::SendDtmf("12")),
                4 => {
                    let mut agreed = negotiated(Codec::ALL[number as usize % 4]);
                    agreed.ptime_ms = number as u16;
                    agreed.direction = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly,
                                        Direction::Inactive][number as usize / 4 % 4];
                    rig.feed(now, Input::Renegotiated(agreed));
                }
                _ => rig.feed(now, Input::Timeout),
            }
        }
        // And then a call goes on as if nothing had been.
        rig.feed(now, Input::Renegotiated(negotiated(Codec::Pcmu)));
        rig.advance(now + ms(30_000.0));
        rig.out.clear();
        let messages = phone_messages(Codec::Pcmu, &voice(SampleRate::Hz8000, 1000, 1), 1);
        for (n, body) in messages.iter().enumerate() {
            let timestamp_ms = 20 * n as u32;
            rig.feed(now + ms(30_000.0 + timestamp_ms as f64), Input::PhoneAudio { timestamp_ms, body });
        }
        rig.advance(now + ms(32_000.0));
        prop_assert!(rig.rtp().len() >= 49, "{}", rig.rtp().len());
    }
}
