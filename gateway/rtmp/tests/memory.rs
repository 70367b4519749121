//! What a connection costs: nothing allocated for a frame of audio, little for a phone at rest, and for a hostile peer
//! no more than what it sent.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(unsafe_code, reason = "a counting allocator is an unsafe trait; it only counts")]

mod common;

use common::{Pair, drain, request, some_instant};
use rtmp_session::{
    ClientEvent, ClientSession, ConnectAccepted, Event, HandshakeKind, Input, Limits, Output, RtmpTimestamp,
    ServerSession, StreamId,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Allocations and live bytes of this thread: the tests of a binary run side by side.
    static COUNT: Cell<(u64, i64)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(allocations: u64, bytes: i64) {
    // Gone at the end of a thread: nothing is measured then.
    let _ = COUNT.try_with(|cell| {
        let (a, b) = cell.get();
        cell.set((a + allocations, b + bytes));
    });
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    COUNT.get().0
}

fn live() -> i64 {
    COUNT.get().1
}

/// Connected, publishing on 1 and playing on 2.
fn in_call() -> Pair {
    let mut pair = Pair::connected(request());
    let (local, remote) = (pair.stream(), pair.stream());
    pair.client.publish(pair.now, local, "local");
    pair.client.play(pair.now, remote, "remote");
    pair.run();
    pair
}

#[test]
fn a_frame_of_audio_allocates_nothing() {
    let Pair { now, mut client, mut server, .. } = in_call();
    let (local, remote) = (StreamId(1), StreamId(2));
    let mut both_ways = |n: u32| {
        let time = RtmpTimestamp::from_ms(n * 20);
        client.send_audio(now, local, time, &[0xB2; 71]);
        assert!(server.send_audio(now, remote, time, &[0xB2; 71]));
        while let Some(output) = client.poll_output() {
            match output {
                Output::Bytes(bytes) => server.handle_input(now, Input::Bytes(&bytes)).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        let (mut up, mut down) = (0, 0);
        while let Some(output) = server.poll_output() {
            match output {
                Output::Bytes(bytes) => client.handle_input(now, Input::Bytes(&bytes)).unwrap(),
                Output::Event(Event::Audio { .. }) => up += 1,
                other => panic!("{other:?}"),
            }
        }
        while let Some(output) = client.poll_output() {
            assert!(matches!(output, Output::Event(ClientEvent::Audio { .. })));
            down += 1;
        }
        assert_eq!((up, down), (1, 1));
    };
    (0..200).for_each(&mut both_ways);
    let before = allocations();
    (200..10_200).for_each(&mut both_ways);
    assert_eq!(allocations() - before, 0, "allocations in 10,000 frames each way, both ends");
}

#[test]
fn a_phone_at_rest_costs_a_few_kilobytes() {
    let request = request();
    let before = live();
    let pairs: Vec<ServerSession> = (0..100)
        .map(|_| {
            let Pair { server, .. } = Pair::connected(request.clone());
            server
        })
        .collect();
    let each = (live() - before) / pairs.len() as i64;
    println!("a connected session at rest: {each} B");
    assert!(each < 8 * 1024, "{each} B a session");
}

/// Handshaken sessions, each fed the same bytes.
fn fed(count: usize, bytes: &[u8]) -> Vec<ServerSession> {
    let now = some_instant();
    let mut client = ClientSession::new(now, Limits::default(), [1; 32], HandshakeKind::Simple);
    let (mut hello, _, _) = drain(|| client.poll_output());
    hello.extend([0; 1536]);
    let session = || {
        let mut server = ServerSession::new(now, Limits::default(), [1; 32]);
        server.handle_input(now, Input::Bytes(&hello)).unwrap();
        server.handle_input(now, Input::Bytes(bytes)).unwrap();
        drain(|| server.poll_output());
        server
    };
    (0..count).map(|_| session()).collect()
}

#[test]
fn memory_follows_what_was_received_not_what_was_declared() {
    // Set Chunk Size to the largest, then one byte of the longest message there may be.
    let longest = b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\x7f\xff\xff\xff\x04\0\0\0\x01\0\0\x08\x01\0\0\0x";
    let before = live();
    let sessions = fed(1000, longest);
    let each = (live() - before) / sessions.len() as i64;
    println!("64 KiB declared, 1 B sent: {each} B");
    assert!(each < 8 * 1024, "{each} B a session");
}

#[test]
fn half_a_handshake_costs_what_was_sent_of_it() {
    let now = some_instant();
    let before = live();
    let sessions: Vec<ServerSession> = (0..1000)
        .map(|_| {
            let mut server = ServerSession::new(now, Limits::default(), [1; 32]);
            server.handle_input(now, Input::Bytes(&[3, 0, 0, 0])).unwrap();
            server
        })
        .collect();
    let each = (live() - before) / sessions.len() as i64;
    println!("4 B of a handshake: {each} B");
    assert!(each < 2 * 1024, "{each} B a session");
}

#[test]
fn a_session_gives_everything_back() {
    let before = live();
    {
        let mut pair = in_call();
        pair.server.accept_connect(pair.now, ConnectAccepted::default());
        pair.run();
    }
    assert_eq!(live(), before);
}
