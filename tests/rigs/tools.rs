//! Programs and files from outside: what `tests/run` installed, and where the tests keep what they make.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The tests' own cache (`tests/.cache`, not in git), made if it is missing.
pub fn cache_dir() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache");
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A new folder for one test's files; removed when dropped, unless the test failed.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gateway-tests-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("files of this test: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it is missing or fails; then with what it said.
pub fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error} (tests/run installs what is missing)"));
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {}\n{}", output.status, said());
    output
}

/// The Python of the tests' virtual environment, with pesq, pystoi and pjsua2.
///
/// # Panics
/// When `tests/run` has not made it yet.
pub fn python() -> PathBuf {
    let path = cache_dir().join("venv/bin/python");
    assert!(path.exists(), "{} is missing: `tests/run --setup` makes it", path.display());
    path
}

/// A real program that a test talks with; ended by its process id when dropped.
pub struct Peer {
    child: tokio::process::Child,
    name: String,
    lines: Lines,
}

/// Lines that a program printed, shared with the task that reads them.
pub type Lines = std::sync::Arc<std::sync::Mutex<Vec<String>>>;

impl Peer {
    /// Starts it; what it prints on both outputs is kept.
    pub fn start(name: &str, command: &mut tokio::process::Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{name}: {error} (tests/run installs what is missing)"));
        let lines = Lines::default();
        keep_lines(child.stdout.take().unwrap(), Lines::clone(&lines));
        keep_lines(child.stderr.take().unwrap(), Lines::clone(&lines));
        Self { child, name: name.to_owned(), lines }
    }

    /// What it printed so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it has ended and was waited for.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Types a line.
    pub async fn type_line(&mut self, line: &str) {
        use tokio::io::AsyncWriteExt;
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        input.flush().await.unwrap();
    }

    /// Waits for a line that contains `text`, also among those printed before.
    ///
    /// # Panics
    /// When none came in `patience`; then with all lines.
    pub async fn wait_for(&self, text: &str, patience: Duration) -> String {
        let end = Instant::now() + patience;
        loop {
            if let Some(line) = self.lines.lock().unwrap().iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            assert!(Instant::now() < end, "{}: no {text:?} in {patience:?}; it said:\n{}", self.name, self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// All it printed, as one text.
    pub fn said(&self) -> String {
        self.lines().join("\n")
    }

    /// Sends a signal by name, e.g. `INT`.
    pub fn signal(&self, name: &str) {
        if let Some(pid) = self.child.id() {
            run("kill", &[&format!("-{name}"), &pid.to_string()]);
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it goes on for longer than `patience`.
    pub async fn wait_end(&mut self, patience: Duration) -> std::process::ExitStatus {
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("{} still runs after {patience:?}; it said:\n{}", self.name, self.said()),
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        // Its ports must be free when the next one begins: a killed process is gone within moments.
        let end = Instant::now() + Duration::from_secs(2);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        if std::thread::panicking() {
            let lines = self.lines();
            let tail = lines.len().saturating_sub(120);
            eprintln!("---- {} said (last {} lines):\n{}", self.name, lines.len() - tail, lines[tail..].join("\n"));
        }
    }
}

/// Keeps what comes by lines, also the last one while it has no end yet: status displays end theirs with a carriage return, or not at all.
fn keep_lines(mut output: impl AsyncRead + Unpin + Send + 'static, lines: Lines) {
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        let mut open: Option<usize> = None;
        while let Ok(length @ 1..) = output.read(&mut buffer).await {
            let mut lines = lines.lock().unwrap();
            for piece in String::from_utf8_lossy(&buffer[..length]).split_inclusive(['\n', '\r']) {
                let text = piece.trim_end_matches(['\n', '\r']);
                let line = *open.get_or_insert_with(|| {
                    lines.push(String::new());
                    lines.len() - 1
                });
                lines[line].push_str(text);
                if text.len() < piece.len() {
                    open = None;
                }
            }
        }
    });
}
