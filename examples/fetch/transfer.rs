//! One URL, from the request to the last byte of its answer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

use grapeshot::http::client::{Client, ClientLimits, Dialer, Response};
use grapeshot::net::stdio::stdout;
use grapeshot::tls::{ClientConfig, Identity, Roots};

use crate::arguments::Arguments;
use crate::failure::{Failure, IDENTITY, ROOTS, STATUS, WRITE};

/// How much of a body is read, and written, at a time.
const PIECE: usize = 64 << 10;

/// The client for all URLs.
pub(crate) fn client(arguments: &Arguments) -> Result<Client, Failure> {
    let mut limits = ClientLimits::default();
    limits.body_bytes = arguments.max_bytes;
    limits.whole_timeout = arguments.max_time;
    limits.connect_timeout = arguments.connect_timeout.unwrap_or(limits.connect_timeout);
    let mut dialer = Dialer::new();
    for known in &arguments.known {
        dialer = dialer.resolve(&known.host, known.port, known.addresses.iter().copied());
    }
    if let Some(config) = tls(arguments)? {
        dialer = dialer.tls(config);
    }
    Ok(Client::builder().limits(limits).connector(dialer).build())
}

/// Whom to believe, and who we are; `None` for what the system says, which is read when it is needed.
fn tls(arguments: &Arguments) -> Result<Option<ClientConfig>, Failure> {
    let mut config = ClientConfig::builder();
    if let Some(path) = &arguments.roots {
        config = config.roots(Roots::from_pem_file(path).map_err(|error| Failure::new(ROOTS, error))?);
    }
    if let Some(path) = &arguments.certificate {
        let key = arguments.key.as_ref().unwrap_or(path);
        config = config.identity(Identity::from_pem_files(path, key).map_err(|error| Failure::new(IDENTITY, error))?);
    }
    if arguments.roots.is_none() && arguments.certificate.is_none() {
        return Ok(None);
    }
    config.build().map(Some).map_err(|error| Failure::new(IDENTITY, error))
}

/// Fetches, and says how it went in a few words.
pub(crate) fn fetch(
    client: &Client,
    arguments: &Arguments,
    url: &str,
    output: Option<&Path>,
) -> Result<String, Failure> {
    let began = Instant::now();
    let mut response = client.get(url)?;
    let status = response.status();
    if arguments.fails_on_status && status.as_u16() >= 400 {
        return Err(Failure::new(STATUS, format!("the server says {status}")));
    }
    let mut output = open(output).map_err(|error| Failure::new(WRITE, error))?;
    if arguments.includes_head {
        output.write_all(&head(&response)).map_err(|error| Failure::new(WRITE, error))?;
    }
    let bytes = copy(&mut response, &mut *output)?;
    let open_end = match response.body().ends_with_connection() {
        true => " (no length was said: the end of the connection was taken for that of the body)",
        false => "",
    };
    Ok(format!("{status}, {bytes} bytes in {:.1?}{open_end}", began.elapsed()))
}

/// A file is written from the loop's own thread: nobody else waits on it.
fn open(path: Option<&Path>) -> io::Result<Box<dyn Write>> {
    let Some(path) = path else { return Ok(Box::new(stdout())) };
    match File::create(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

fn copy(response: &mut Response, output: &mut dyn Write) -> Result<u64, Failure> {
    let (mut piece, mut bytes) = (vec![0; PIECE], 0);
    loop {
        let len = response.read(&mut piece).map_err(|error| Failure::of_body(&error))?;
        if len == 0 {
            break;
        }
        output.write_all(&piece[..len]).map_err(|error| Failure::new(WRITE, format!("writing: {error}")))?;
        bytes += len as u64;
    }
    output.flush().map_err(|error| Failure::new(WRITE, format!("writing: {error}")))?;
    Ok(bytes)
}

/// The head as it came, but for the case of names and the space around values.
fn head(response: &Response) -> Vec<u8> {
    let mut head = format!("{:?} {} ", response.version(), response.status().as_str()).into_bytes();
    head.extend_from_slice(response.reason());
    head.extend_from_slice(b"\r\n");
    for (name, value) in response.headers() {
        head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    head
}
