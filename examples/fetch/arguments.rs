//! The command line.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) is_silent: bool,
    pub(crate) shows_errors: bool,
    pub(crate) includes_head: bool,
    pub(crate) fails_on_status: bool,
    pub(crate) roots: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) known: Vec<Known>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) max_time: Option<Duration>,
    pub(crate) max_bytes: Option<u64>,
    outputs: Vec<PathBuf>,
    urls: Vec<String>,
}

/// Where a host leads on one port.
#[derive(Debug, PartialEq)]
pub(crate) struct Known {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let (mut arguments, mut words) = (Arguments::default(), words.collect::<VecDeque<_>>());
        while let Some(word) = words.pop_front() {
            match word.strip_prefix('-') {
                _ if word == "--" => arguments.urls.extend(words.drain(..)),
                Some(name) if name.starts_with('-') => arguments.long(&word, &mut words)?,
                Some(letters) if !letters.is_empty() => arguments.short(letters, &mut words)?,
                _ => arguments.urls.push(word),
            }
        }
        match &arguments {
            Arguments { urls, .. } if urls.is_empty() => Err("no URL".to_owned()),
            Arguments { key: Some(_), certificate: None, .. } => Err("--key without --cert".to_owned()),
            Arguments { urls, outputs, .. } if outputs.len() > urls.len() => Err("more -o than URLs".to_owned()),
            _ => Ok(arguments),
        }
    }

    /// Each URL with the file that its body goes to, if it is not stdout; `-o` belong to the URLs in their order.
    pub(crate) fn transfers(&self) -> impl Iterator<Item = (&str, Option<&Path>)> {
        let outputs = self.outputs.iter().map(|path| Some(path.as_path())).chain(std::iter::repeat(None));
        self.urls.iter().map(String::as_str).zip(outputs)
    }

    /// Letters may stand together, and what `-o` takes right after it.
    fn short(&mut self, letters: &str, words: &mut VecDeque<String>) -> Result<(), String> {
        for (at, letter) in letters.char_indices() {
            match letter {
                's' => self.is_silent = true,
                'S' => self.shows_errors = true,
                'i' => self.includes_head = true,
                'f' => self.fails_on_status = true,
                'o' => {
                    match &letters[at + 1..] {
                        "" => self.outputs.push(value("-o", words)?.into()),
                        path => self.outputs.push(path.into()),
                    }
                    return Ok(());
                }
                _ => return Err(format!("unknown option -{letter}")),
            }
        }
        Ok(())
    }

    fn long(&mut self, name: &str, words: &mut VecDeque<String>) -> Result<(), String> {
        match name {
            "--silent" => self.is_silent = true,
            "--show-error" => self.shows_errors = true,
            "--include" => self.includes_head = true,
            "--fail" => self.fails_on_status = true,
            "--output" => self.outputs.push(value(name, words)?.into()),
            "--cacert" => self.roots = Some(value(name, words)?.into()),
            "--cert" => self.certificate = Some(value(name, words)?.into()),
            "--key" => self.key = Some(value(name, words)?.into()),
            "--resolve" => self.known.push(known(&value(name, words)?)?),
            "--connect-timeout" => self.connect_timeout = seconds(name, &value(name, words)?)?,
            "--max-time" => self.max_time = seconds(name, &value(name, words)?)?,
            "--max-filesize" => {
                let bytes = value(name, words)?;
                let bytes = bytes.parse().map_err(|_| format!("{name} takes a number of bytes, not {bytes:?}"))?;
                self.max_bytes = Some(bytes);
            }
            _ => return Err(format!("unknown option {name}")),
        }
        Ok(())
    }
}

fn value(name: &str, words: &mut VecDeque<String>) -> Result<String, String> {
    words.pop_front().ok_or_else(|| format!("{name} takes a value"))
}

/// As curl has it: none is no limit, or the usual one.
fn seconds(name: &str, text: &str) -> Result<Option<Duration>, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let seconds = seconds.ok_or_else(|| format!("{name} takes a number of seconds, not {text:?}"))?;
    Ok((!seconds.is_zero()).then_some(seconds))
}

/// `HOST:PORT:ADDRESS[,ADDRESS]...`, with IPv6 addresses in brackets or without.
fn known(text: &str) -> Result<Known, String> {
    let parse = || {
        let (host, rest) = text.split_once(':')?;
        let (port, addresses) = rest.split_once(':')?;
        let bare = |address: &str| address.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let addresses: Option<Vec<IpAddr>> = addresses.split(',').map(bare).collect();
        let port = port.parse().ok().filter(|&port| port > 0)?;
        (!host.is_empty()).then_some(Known { host: host.to_owned(), port, addresses: addresses? })
    };
    parse().ok_or_else(|| format!("--resolve takes HOST:PORT:ADDRESS[,ADDRESS]..., not {text:?}"))
}
