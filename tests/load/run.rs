//! One run: a gateway, N calls, and what they cost.

use crate::analysis::{self, Delays};
use crate::engine::{Call, Engine, Manner, Order};
use crate::figures::{Direction, Figures};
use crate::options::{Options, SipCodec};
use crate::phones::{self, CallOrders, PhoneReport};
use crate::{agents, audio_plan, baseline, process};
use gateway_tests::gateway::{Gateway, GatewayOptions};
use gateway_tests::voice;
use speex_codec::Mode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Decoding what phones heard is the only dear part of the judging; this many calls are enough.
const DECODED_CALLS: usize = 24;
const WARM_UP: Duration = Duration::from_secs(2);
/// Longer than the gateway's ping interval: an idle phone's memory is that of one that was pinged and answered.
const IDLE_SETTLES: Duration = Duration::from_secs(12);

/// A gateway with room for so many phones and calls. RTP ports lie below those that the system gives to others.
pub(crate) async fn start_gateway(options: &Options, phones: usize, ports: (u16, u16)) -> Gateway {
    let room = ["--max-phones", &phones.to_string(), "--max-calls", &phones.to_string()].map(str::to_owned);
    // The rig finds the binary itself unless it was named.
    Gateway::start_with(GatewayOptions {
        args: room.into_iter().chain(options.gateway_args.iter().cloned()).collect(),
        log: "warn".into(),
        rtp_ports: Some(ports),
        binary: options.gateway.clone(),
        ..GatewayOptions::default()
    })
    .await
}

/// What the far ends speak: format on SIP, words of the invite, RTP clock units of a frame.
pub(crate) fn codec_words(codec: SipCodec) -> ((u8, &'static str), &'static [&'static str], u32) {
    match codec {
        SipCodec::Pcmu => ((0, "PCMU/8000"), &["wideband", "ulaw"], 160),
        SipCodec::Speex => ((96, "speex/16000"), &["wideband"], 320),
    }
}

/// Runs it all.
pub(crate) async fn measure(options: &Options) -> Figures {
    let (format, words, units) = codec_words(options.codec);
    let manner = Manner {
        uplink: Arc::new(audio_plan::uplink(options.codec)),
        downlink: Arc::new(audio_plan::downlink(options.codec, false)),
        units,
        together: options.together,
    };
    let sockets = agents::rtp_sockets(options.calls);
    let engine = Engine::start(sockets.clone(), manner.clone(), false);
    let agents = agents::Agents::start(&sockets, format, Some(engine.orders.clone()));
    let top = 10_000 + 4 * options.calls.clamp(50, 4_000) as u16;
    let mut gateway = start_gateway(options, options.calls + options.idle + 10, (10_000, top)).await;
    let pid = gateway.pid();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let base_bytes = gateway.resident();
    let (leave, leaving) = watch::channel(false);

    let idle_bytes = gather_idlers(options, &gateway, agents.sip, &leaving).await;
    let before_calls = gateway.resident();
    let orders = CallOrders { gateway: gateway.rtmp, agents: agents.sip, words, engine: engine.orders.clone() };
    let orders = Arc::new(orders);
    let (ready, mut readies) = mpsc::channel(options.calls.max(1));
    let callers: Vec<_> = (0..options.calls)
        .map(|number| {
            let (orders, ready) = (Arc::clone(&orders), ready.clone());
            let begin = tokio::time::Instant::now() + Duration::from_secs_f64(number as f64 / options.rate);
            tokio::spawn(async move {
                tokio::time::sleep_until(begin).await;
                phones::caller(&orders, number, ready).await
            })
        })
        .collect();
    for _ in 0..options.calls {
        readies.recv().await;
    }
    engine.tell(Order::Speak);
    tokio::time::sleep(WARM_UP).await;

    let (overflows, switches) = (process::udp_overflows(), process::switches(pid));
    let (begin, cpu, own) = (Instant::now(), process::cpu(pid), process::cpu(std::process::id()));
    let machine = process::machine_cpu();
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let wall = begin.elapsed().as_secs_f64();
    let percent = |used: Duration| used.as_secs_f64() / wall * 100.0;
    let gateway_cpu = percent(process::cpu(pid) - cpu);
    let calls = options.calls.max(1) as f64;
    let switches = (process::switches(pid) - switches) as f64 / (wall * 50.0 * calls);
    let own_cpu = percent(process::cpu(std::process::id()) - own);
    let others_cpu = (percent(process::machine_cpu().saturating_sub(machine)) - own_cpu - gateway_cpu).max(0.0);
    let overflows = process::udp_overflows() - overflows;
    let call_bytes = gateway.resident().saturating_sub(before_calls) / options.calls.max(1) as u64;
    let (threads, files) = process::threads_and_files(pid);

    engine.tell(Order::Silence);
    tokio::time::sleep(Duration::from_millis(500)).await;
    engine.tell(Order::Return);
    let mut reports = Vec::new();
    for caller in callers {
        reports.push(caller.await.unwrap());
    }
    leave.send_replace(true);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let findings = engine.finish();
    let answered = Arc::clone(&agents.answered);
    agents.finish();
    gateway.interrupt();
    gateway.wait_end(Duration::from_secs(8)).await;

    let failures: Vec<String> = reports.iter().filter_map(|report| report.failure.clone()).collect();
    let bodies = reports.iter().flat_map(|report| &report.track.heard).map(|(_, _, body)| body);
    let phone_mode =
        bodies.max_by_key(|body| body.len()).map_or(Mode::Narrowband, |body| voice::speex_mode(&body[1..]));
    let mut figures = Figures {
        failed_calls: failures.len(),
        failures,
        cpu_per_call: gateway_cpu / calls,
        switches,
        own_cpu,
        others_cpu,
        idle_bytes,
        call_bytes,
        base_bytes,
        threads,
        files,
        up: Direction::default(),
        down: Direction::default(),
        setup: Delays::default(),
        answer_to_accepted: Delays::default(),
        byes: answered.lock().unwrap().byes,
        phone_mode,
        overflows,
        libspeex_percent: None,
        ours_percent: None,
        mover: None,
        lateness: Delays::new(findings.lateness),
    };
    judge_setups(&reports, &answered.lock().unwrap(), &mut figures);
    // Only now is it known which mode the gateway encodes for phones, and with it the delay of the bare codecs.
    let downlink = audio_plan::downlink(options.codec, phone_mode == Mode::Wideband);
    judge_audio(options.codec, &manner.uplink, &downlink, &reports, &findings.calls, &mut figures);
    if options.baseline {
        if options.codec == SipCodec::Pcmu {
            figures.libspeex_percent = Some(baseline::libspeex(phone_mode).percent_of_a_core());
            figures.ours_percent = Some(baseline::ours(phone_mode).percent_of_a_core());
        }
        let seconds = options.seconds.min(10);
        figures.mover = Some(baseline::moving(options.calls.max(1), seconds, &manner).await);
    }
    figures
}

/// Memory of one phone that is registered and does nothing.
async fn gather_idlers(
    options: &Options,
    gateway: &Gateway,
    agents: std::net::SocketAddr,
    leaving: &watch::Receiver<bool>,
) -> Option<u64> {
    if options.idle == 0 {
        return None;
    }
    let before = gateway.resident();
    let (ready, mut readies) = mpsc::channel(options.idle);
    for number in 0..options.idle {
        tokio::spawn(phones::idler(gateway.rtmp, agents, number, leaving.clone(), ready.clone()));
        if number % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for _ in 0..options.idle {
        if let Some(Err(failure)) = readies.recv().await {
            eprintln!("idle phone: {failure}");
        }
    }
    tokio::time::sleep(IDLE_SETTLES).await;
    Some(gateway.resident().saturating_sub(before) / options.idle as u64)
}

fn judge_setups(reports: &[PhoneReport], answered: &agents::Answered, figures: &mut Figures) {
    let (mut setup, mut accepted) = (Vec::new(), Vec::new());
    let ms = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1000.0;
    for report in reports {
        if let (Some(invited), Some(done)) = (report.invited, report.accepted) {
            setup.push(ms(invited, done));
            accepted.extend(answered.at.get(&report.user).map(|answered| ms(*answered, done)));
        }
    }
    figures.setup = Delays::new(setup);
    figures.answer_to_accepted = Delays::new(accepted);
}

fn judge_audio(
    codec: SipCodec,
    uplink: &audio_plan::Plan,
    downlink: &audio_plan::Plan,
    reports: &[PhoneReport],
    calls: &[Call],
    figures: &mut Figures,
) {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for (number, call) in calls.iter().enumerate() {
        let Some(PhoneReport { track, .. }) = reports.iter().find(|report| report.user == call.user) else { continue };
        figures.up.sent += track.sent.len();
        figures.up.received += call.received.len();
        figures.down.sent += call.sent.len();
        figures.down.received += track.heard.len();
        match codec {
            SipCodec::Speex => {
                up.extend(analysis::uplink_relayed(uplink, &track.sent, &call.received));
                down.extend(analysis::downlink_relayed(downlink, &call.sent, &track.heard));
            }
            SipCodec::Pcmu => {
                up.extend(analysis::pcmu_delays(uplink, &track.sent, &call.received));
                if number < DECODED_CALLS {
                    down.extend(analysis::speex_delays(downlink, &call.sent, &track.heard));
                }
            }
        }
    }
    figures.up.delays = Delays::new(up);
    figures.down.delays = Delays::new(down);
}
