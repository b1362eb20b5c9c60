//! Makes one call and prints its answer as JSON.
//!
//! ```sh
//! cargo run --release --example rpc_call -- 127.0.0.1:7000 add '[19, 23]'
//! cargo run --release --example rpc_call -- --unix ./calls.sock echo '[{"a": [1, null]}]'
//! cargo run --release --example rpc_call -- --notify 127.0.0.1:7000 bump '[5]'
//! cargo run --release --example rpc_call -- 127.0.0.1:7000 '$/methods' '[]'
//! ```
//!
//! | exit code | standard output |
//! |---|---|
//! | 0 | the result; nothing after `--notify`; the usage for `--help` |
//! | 1 | nothing: the arguments are wrong |
//! | 2 | the callee's failure: `{"code": …, "message": …, "data": …}`, without `data` where it is nil |
//! | 3 | nothing: no connection, no answer within 5 s, or it cannot be printed; standard error says which |
//!
//! Where standard output is a pipe that nobody reads any more, the exit code is that of the answer.
//!
//! What JSON lacks is written as an object with one name that begins with a dollar sign, in both directions:
//! `{"$bytes": "00ff"}`, `{"$ext": [1, "00ff"]}`, `{"$float": "NaN"}`, and `{"$map": [[key, value], …]}` for a map
//! with keys that are no texts. What MessagePack lacks, an integer of more than 64 bits, is a wrong argument.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::mem::take;
use std::process::ExitCode;
use std::time::Duration;

use grapeshot::rpc::{CallError, CallOptions, Caller as _, Client, Encoded, Failure, Limits, Request, Value};
use grapeshot::with_timeout;
use serde_json::{Map, Number, Value as Json, json};

const USAGE: &str = "usage: rpc_call [--notify] HOST:PORT METHOD JSON-ARRAY
       rpc_call [--notify] --unix PATH METHOD JSON-ARRAY";

const LIMIT: Duration = Duration::from_secs(5);

/// A callee that does not even refuse the hello shall have time left for the call.
const HELLO_LIMIT: Duration = Duration::from_secs(1);

enum Place {
    Address(String),
    Unix(String),
}

struct Arguments {
    place: Place,
    notify: bool,
    method: String,
    /// Encoded before any coroutine runs: JSON may lie deeper in itself than the stack of one allows.
    params: Encoded,
}

/// How it went, for the exit code.
enum Outcome {
    Result(Value),
    Notified,
    Failure(Failure),
    /// No connection, or no answer.
    Trouble(String),
}

fn main() -> ExitCode {
    if std::env::args().skip(1).any(|argument| argument == "--help" || argument == "-h") {
        return print(&format!("{USAGE}\n"), ExitCode::SUCCESS);
    }
    match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => grapeshot::run(move || report(call(&arguments))),
        Err(error) => {
            complain(&format!("{error}\n{USAGE}"));
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let (mut notify, mut unix, mut rest) = (false, None, Vec::new());
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--notify" => notify = true,
                "--unix" => unix = Some(given.next().ok_or("--unix needs a path")?),
                option if option.starts_with("--") => return Err(format!("{option} is no option")),
                _ => rest.push(argument),
            }
        }
        let (place, method, params) = match (unix, &mut rest[..]) {
            (Some(path), [method, params]) => (Place::Unix(path), method, params),
            (None, [address, method, params]) => (Place::Address(take(address)), method, params),
            _ => return Err("a place, a method and its parameters are needed".to_owned()),
        };
        Ok(Arguments { place, notify, method: take(method), params: encoded(params)? })
    }
}

fn encoded(text: &str) -> Result<Encoded, String> {
    let params: Json = serde_json::from_str(text).map_err(|error| format!("the parameters are no JSON: {error}"))?;
    let Json::Array(params) = params else { return Err(format!("the parameters are an array, not {params}")) };
    refuse_huge_integers(text)?;
    let params = params.iter().map(from_json).collect::<Result<Vec<_>, _>>()?;
    Encoded::of(&params).map_err(|error| error.to_string())
}

/// Refuses integers of more than 64 bits, which MessagePack cannot carry and the reader of JSON makes floats of.
///
/// The text is JSON, so digits stand in numbers and strings alone.
fn refuse_huge_integers(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        let token = &rest[at..];
        rest = match token.strip_prefix('"') {
            Some(string) => after_string(string),
            None => token.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || ".+-".contains(c)),
        };
        let token = &token[..token.len() - rest.len()];
        let is_integer = !token.contains(['"', '.', 'e', 'E']);
        if is_integer && token.parse::<i64>().is_err() && token.parse::<u64>().is_err() {
            let place = text.len() - rest.len() - token.len();
            return Err(format!(
                "the parameters hold the integer {token} at byte {place}, and MessagePack knows those from {} to {} alone",
                i64::MIN,
                u64::MAX
            ));
        }
    }
    Ok(())
}

/// What follows a string, of which the opening quotation mark is gone.
fn after_string(text: &str) -> &str {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    chars.as_str()
}

/// The limit holds for everything together: the name, the connection, the call.
fn call(arguments: &Arguments) -> Outcome {
    with_timeout(LIMIT, || try_call(arguments))
        .unwrap_or_else(|_| Outcome::Trouble(format!("no answer within {LIMIT:?}")))
}

fn try_call(arguments: &Arguments) -> Outcome {
    let mut limits = Limits::default();
    limits.opening_timeout = HELLO_LIMIT;
    let client = Client::builder().limits(limits);
    let connected = match &arguments.place {
        Place::Unix(path) => client.connect_unix(path),
        Place::Address(address) => client.connect(address),
    };
    let client = match connected {
        Ok(client) => client,
        Err(error) => return Outcome::Trouble(error.to_string()),
    };
    let options = CallOptions::default();
    let request = Request { method: &arguments.method, params: arguments.params.as_bytes(), options: &options };
    let answer = if arguments.notify {
        client.tell(&request).map(|()| Outcome::Notified)
    } else {
        client.exchange(&request).map(read)
    };
    client.close();
    answer.unwrap_or_else(|error| match error {
        CallError::Failed(failure) => Outcome::Failure(failure),
        error => Outcome::Trouble(error.to_string()),
    })
}

fn read(answer: Encoded) -> Outcome {
    match answer.decode() {
        Ok(value) => Outcome::Result(value),
        Err(error) => Outcome::Trouble(format!("the answer cannot be read: {error}")),
    }
}

fn report(outcome: Outcome) -> ExitCode {
    let (text, code) = match outcome {
        Outcome::Result(value) => (format!("{}\n", to_json(&value)), 0),
        Outcome::Notified => (String::new(), 0),
        Outcome::Failure(failure) => (format!("{}\n", describe(&failure)), 2),
        Outcome::Trouble(reason) => {
            complain(&reason);
            return ExitCode::from(3);
        }
    };
    print(&text, ExitCode::from(code))
}

/// Prints, and answers with the code, or with that of trouble where nothing can be printed.
fn print(text: &str, code: ExitCode) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        // Nobody reads on: the exit code still tells.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            complain(&format!("cannot print the answer: {error}"));
            ExitCode::from(3)
        }
    }
}

fn describe(failure: &Failure) -> Json {
    let mut described = json!({ "code": failure.code, "message": failure.message });
    if !failure.data.is_nil() {
        described["data"] = to_json(&failure.data);
    }
    described
}

/// Standard error may be closed, which must not end in a panic.
fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "rpc_call: {what}");
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(truth) => Json::Bool(*truth),
        Value::Integer(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, number) => number.into(),
        },
        Value::F32(number) => float_to_json(f64::from(*number)),
        Value::F64(number) => float_to_json(*number),
        Value::String(text) => match text.as_str() {
            Some(text) => text.into(),
            None => json!({ "$bytes": hexadecimal(text.as_bytes()) }),
        },
        Value::Binary(bytes) => json!({ "$bytes": hexadecimal(bytes) }),
        Value::Ext(kind, bytes) => json!({ "$ext": [kind, hexadecimal(bytes)] }),
        Value::Array(values) => values.iter().map(to_json).collect(),
        Value::Map(pairs) => map_to_json(pairs),
    }
}

fn float_to_json(number: f64) -> Json {
    match Number::from_f64(number) {
        Some(number) => Json::Number(number),
        None => json!({ "$float": number.to_string() }),
    }
}

fn map_to_json(pairs: &[(Value, Value)]) -> Json {
    let object: Option<Map<String, Json>> =
        pairs.iter().map(|(key, value)| Some((key.as_str()?.to_owned(), to_json(value)))).collect();
    match object {
        // A name that is there twice, or that looks like our own, would be read as something else.
        Some(object) if object.len() == pairs.len() && !is_marked(&object) => Json::Object(object),
        _ => {
            let pairs: Vec<Json> = pairs.iter().map(|(key, value)| json!([to_json(key), to_json(value)])).collect();
            json!({ "$map": pairs })
        }
    }
}

/// Whether an object stands for what JSON lacks.
fn is_marked(object: &Map<String, Json>) -> bool {
    object.len() == 1 && object.keys().all(|name| name.starts_with('$'))
}

fn from_json(json: &Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::from(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (_, _, Some(number)) => Value::from(number),
            _ => return Err(format!("{number} is no number of 64 bits")),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(values) => Value::Array(values.iter().map(from_json).collect::<Result<_, _>>()?),
        Json::Object(object) if is_marked(object) => marked_from_json(object)?,
        Json::Object(object) => Value::Map(
            object
                .iter()
                .map(|(name, value)| Ok((name.as_str().into(), from_json(value)?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}

fn marked_from_json(object: &Map<String, Json>) -> Result<Value, String> {
    let unclear = || format!("{} stands for nothing", Json::from(object.clone()));
    let (name, value) = object.iter().next().ok_or_else(unclear)?;
    match (name.as_str(), value) {
        ("$bytes", Json::String(digits)) => bytes_of(digits).map(Value::Binary).ok_or_else(unclear),
        ("$float", Json::String(number)) => number.parse().map(Value::F64).map_err(|_| unclear()),
        ("$ext", Json::Array(parts)) => match &parts[..] {
            [Json::Number(kind), Json::String(digits)] => {
                let kind = kind.as_i64().and_then(|kind| i8::try_from(kind).ok()).ok_or_else(unclear)?;
                Ok(Value::Ext(kind, bytes_of(digits).ok_or_else(unclear)?))
            }
            _ => Err(unclear()),
        },
        ("$map", Json::Array(pairs)) => pairs
            .iter()
            .map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([key, value]) => Ok((from_json(key)?, from_json(value)?)),
                _ => Err(unclear()),
            })
            .collect::<Result<_, String>>()
            .map(Value::Map),
        _ => Err(unclear()),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}
