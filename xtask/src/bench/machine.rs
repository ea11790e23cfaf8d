//! Which machine was measured.

use std::fs;
use std::process::Command;

#[derive(Clone, Debug, serde::Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_mib: u64,
    pub kernel: String,
    pub revision: String,
}

impl Machine {
    pub fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: field(&cpuinfo, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: field(&meminfo, "MemTotal").and_then(kib).unwrap_or(0) / 1024,
            kernel: kernel.trim().to_owned(),
            revision: revision().unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

/// Peak resident memory of process `pid` in bytes, shared memory it touched included.
pub fn peak_memory(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(field(&status, "VmHWM").and_then(kib)? * 1024)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// `12345 kB` as a number.
fn kib(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim().parse().ok()
}

fn revision() -> Option<String> {
    let mut git = Command::new("git");
    git.current_dir(crate::checkout::root())
        .args(["describe", "--always", "--dirty"]);
    crate::process::output(&mut git)
        .ok()
        .map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_files_are_read() {
        let status = "Name:\tpostgres\nVmHWM:\t  524288 kB\n";
        assert_eq!(field(status, "VmHWM").and_then(kib), Some(524_288));
        assert_eq!(field(status, "VmPeak"), None);
        assert_eq!(kib("12 MB"), None);
    }

    #[test]
    fn our_own_peak_is_known() {
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        assert!(peak_memory(pid).is_some_and(|bytes| bytes > 1 << 16));
    }
}
