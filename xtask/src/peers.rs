//! The real programs that the tests talk to, installed by apt where that is possible.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use crate::checks::execute;

/// A program that tests ask for, and the Debian package that holds it.
struct Peer {
    /// Its name, or for a library the path of a file of it.
    program: &'static str,
    package: &'static str,
}

const PEERS: &[Peer] = &[
    Peer { program: "curl", package: "curl" },
    Peer { program: "wrk", package: "wrk" },
    Peer { program: "socat", package: "socat" },
    Peer { program: "telnet", package: "telnet" },
    Peer { program: "redis-server", package: "redis-server" },
    Peer { program: "nc", package: "netcat-openbsd" },
    Peer { program: "openssl", package: "openssl" },
    Peer { program: "gnutls-cli", package: "gnutls-bin" },
    Peer { program: "nginx", package: "nginx" },
    Peer { program: "dig", package: "bind9-dnsutils" },
    Peer { program: "knotd", package: "knot" },
    Peer { program: "unbound", package: "unbound" },
    Peer { program: "dnsmasq", package: "dnsmasq-base" },
    Peer { program: "unshare", package: "util-linux" },
    Peer { program: "ip", package: "iproute2" },
    Peer { program: "getent", package: "libc-bin" },
    Peer { program: "python3", package: "python3" },
    Peer { program: "nvim", package: "neovim" },
    Peer { program: "/usr/lib/python3/dist-packages/msgpack/__init__.py", package: "python3-msgpack" },
    Peer { program: "/usr/lib/python3/dist-packages/pynvim/__init__.py", package: "python3-pynvim" },
    Peer { program: "g++", package: "g++" },
    Peer { program: "/usr/include/msgpack.hpp", package: "libmsgpack-cxx-dev" },
];

/// Installs what is missing.
pub(crate) fn install() -> Result<(), String> {
    let packages = missing();
    if packages.is_empty() {
        println!("all there: {}", PEERS.iter().map(|peer| peer.program).collect::<Vec<_>>().join(", "));
        return Ok(());
    }
    let list = packages.join(" ");
    if !may_install() {
        return Err(format!(
            "These packages are missing and only root with apt-get could install them here: {list} (on Debian: sudo apt-get install {list}); plain `cargo test` does without."
        ));
    }
    apt_get(&["update"])?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(&packages);
    apt_get(&install)?;
    match missing()[..] {
        [] => Ok(()),
        ref still => {
            Err(format!("apt-get installed {list}, but these programs are still missing: {}", still.join(" ")))
        }
    }
}

/// The packages of the programs that are not on `PATH`.
fn missing() -> Vec<&'static str> {
    PEERS.iter().filter(|peer| !is_installed(peer.program)).map(|peer| peer.package).collect()
}

fn may_install() -> bool {
    // The owner of its folder in /proc is the user a process acts as.
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    is_root && is_installed("apt-get")
}

fn apt_get(args: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    command.args(["-q", "-o", "Acquire::Retries=3"]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
    execute(&mut command)
}

fn is_installed(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).is_file();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| is_executable(&folder.join(program)))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_every_machine_is_found_and_an_invented_one_is_not() {
        assert!(is_installed("sh"));
        assert!(!is_installed("a-program-of-this-test"));
        assert!(is_installed("/etc/passwd"));
        assert!(!is_installed("/etc/a-file-of-this-test"));
    }
}
