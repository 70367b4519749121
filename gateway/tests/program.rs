//! The program as a process: its arguments, its environment, its signals, and what it lets out in its logs.

#![allow(clippy::unwrap_used)] // also in helpers, which clippy does not take for tests

mod support;

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rtmp_session::ClientEvent;
use support::{Peer, Phone};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp-sip-gateway"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs to the end.
fn run(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output, said)
}

/// A file of its own for each test.
fn file(name: &str, text: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("gateway-test-{}-{name}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn check_config_says_what_is_wrong_and_where() {
    let path = file("wrong", "max-calls = 5\nrtp-ports = \"7\"\n");
    let (output, said) = run(program().arg("check-config").arg(&path));
    assert!(!output.status.success());
    assert!(said.contains(&format!("{}:2:13: rtp-ports: ", path.display())) && said.contains("LOW-HIGH"), "{said}");
    std::fs::write(&path, "max-calls = 5\n").unwrap();
    let (output, said) = run(program().arg("check-config").arg(&path));
    assert!(output.status.success() && said.contains("sound") && said.contains("RTMP  127.0.0.1:1935"), "{said}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_environment_wins_over_the_file_and_the_command_line_over_both() {
    let path = file("order", "rtmp = \"192.0.2.1:1\"\nhttp = \"192.0.2.2:2\"\n");
    // None of these addresses is ours, so the one that is tried shows in the error.
    let tried = |args: &[&str], env: Option<&str>| {
        let mut command = program();
        command.arg("--config").arg(&path).args(args);
        command.envs(env.map(|value| ("RTMP_SIP_GATEWAY_RTMP", value)));
        run(&mut command).1
    };
    assert!(tried(&[], None).contains("--rtmp: cannot listen on 192.0.2.1:1"));
    assert!(tried(&[], Some("192.0.2.3:3")).contains("--rtmp: cannot listen on 192.0.2.3:3"));
    assert!(tried(&["--rtmp", "192.0.2.4:4"], Some("192.0.2.3:3")).contains("--rtmp: cannot listen on 192.0.2.4:4"));
    std::fs::remove_file(path).unwrap();
}

/// Reads the greeting up to where RTMP listens.
fn rtmp_address(process: &mut Process) -> std::net::SocketAddr {
    let mut said = String::new();
    let stdout = process.0.stdout.as_mut().unwrap();
    while !said.contains("Ctrl-C") {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{said}");
        said.push(byte[0].into());
    }
    said.split_whitespace().skip_while(|word| *word != "RTMP").nth(1).unwrap().parse().unwrap()
}

const FREE_PORTS: [&str; 6] = ["--rtmp", "127.0.0.1:0", "--sip", "127.0.0.1:0", "--http", "127.0.0.1:0"];

#[tokio::test]
async fn no_secret_gets_into_the_log_however_much_is_logged() {
    const PASSWORD: &str = "S3cr3t/@:%";
    /// No clock, port or random number looks like it.
    const DIGITS: &str = "*47#11*";
    let mut process = Process(program().args(FREE_PORTS).arg("-d").env("RUST_LOG", "trace").spawn().unwrap());
    let at = rtmp_address(&mut process);
    let mut stderr = process.0.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    });

    let peer = Peer::new().await;
    let app = format!("sip/alice@{}", peer.address());
    let mut phone = Phone::dial(at, &app, &["alice".into(), PASSWORD.into()]).await;
    let registrar = async {
        let register = peer.expect("REGISTER ").await;
        let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n0nce\", qop=\"auth\", algorithm=MD5\r\n";
        peer.answer(&register, "401 Unauthorized", challenge, "").await;
        loop {
            let register = peer.expect("REGISTER ").await;
            if let Some(response) = register.text.split("response=\"").nth(1) {
                let response = response.split('"').next().unwrap().to_owned();
                peer.answer(&register, "200 OK", "", "").await;
                return response;
            }
        }
    };
    let (event, response) = tokio::join!(phone.next(), registrar);
    assert!(matches!(event, Some(ClientEvent::Connected { .. })), "{event:?}");
    phone.call("sendDTMF", &[DIGITS.into()]).await;
    phone.next().await;
    drop(phone);
    peer.expect("REGISTER ").await;

    process.0.kill().unwrap();
    let log = log.join().unwrap();
    assert!(log.contains("-> ") && log.contains("REGISTER sip:"), "nothing of the wire was logged");
    assert_eq!(response.len(), 32);
    for secret in [PASSWORD, "S3cr3t", "UzNjcjN0", &response, DIGITS] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_signal_unregisters_and_ends_the_process_in_time() {
    for signal in ["INT", "TERM"] {
        let mut process = Process(program().args(FREE_PORTS).spawn().unwrap());
        let at = rtmp_address(&mut process);
        let peer = Peer::new().await;
        let app = format!("sip/alice@{}", peer.address());
        let mut phone = Phone::dial(at, &app, &["alice".into(), "pw".into()]).await;
        let answer = async {
            let register = peer.expect("REGISTER ").await;
            peer.answer(&register, "200 OK", "", "").await;
        };
        tokio::join!(phone.next(), answer);
        let begin = Instant::now();
        let pid = process.0.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let register = peer.expect("REGISTER ").await;
        peer.answer(&register, "200 OK", "", "").await;
        let status = tokio::task::spawn_blocking(move || process.0.wait().unwrap()).await.unwrap();
        assert!(status.success(), "{status}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}
