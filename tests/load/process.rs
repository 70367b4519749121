//! What a process costs, by /proc.

use std::time::Duration;

/// Processor time that a process has used, user and system together.
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in parentheses, may hold blanks; state is the first field behind it, utime and stime the 12th and 13th.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 on every Linux that matters (proc(5), sysconf(_SC_CLK_TCK)).
    Duration::from_millis(ticks * 10)
}

/// Context switches of all threads of a process that are there.
pub(crate) fn switches(pid: u32) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let statuses = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    let count = |status: &str| -> u64 {
        let rows = status.lines().filter(|row| row.contains("ctxt_switches"));
        rows.filter_map(|row| row.split_whitespace().next_back()?.parse::<u64>().ok()).sum()
    };
    statuses.map(|status| count(&status)).sum()
}

/// Processor time that the whole machine has used so far: everything but idling and waiting for disks.
pub(crate) fn machine_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    // cpu user nice system idle iowait irq softirq steal ...
    let fields: Vec<u64> = stat.lines().next().unwrap().split_whitespace().skip(1).flat_map(str::parse).collect();
    let ticks: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| fields.get(*at)).sum();
    Duration::from_millis(ticks * 10)
}

/// Threads and open files of a process.
pub(crate) fn threads_and_files(pid: u32) -> (usize, usize) {
    let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count);
    (count("task"), count("fd"))
}

/// Datagrams that this namespace's sockets had no room for: loss that is nobody's fault but the machine's.
pub(crate) fn udp_overflows() -> u64 {
    let text = std::fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut rows = text.lines().filter(|line| line.starts_with("Udp:"));
    let (Some(names), Some(values)) = (rows.next(), rows.next()) else { return 0 };
    names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == "RcvbufErrors")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

/// Lets this process and its children open as many files as the system allows, and says how many that is.
pub(crate) fn raise_file_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let row = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let numbers: Vec<usize> = row.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [soft, hard] = numbers.as_slice() else { return usize::MAX };
    if soft < hard {
        let pid = std::process::id().to_string();
        let _ =
            std::process::Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={hard}:{hard}")]).status();
    }
    *hard
}
