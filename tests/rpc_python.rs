//! Python at the other end: its msgpack library as client and as server, and pynvim, which takes us for Neovim.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use grapeshot::net::process::Command;
use grapeshot::rpc::{CallError, CallerExt as _, Client, Context, Extensions, Failure, Outcome, Router, Server, Value};
use grapeshot::test::Test;
use grapeshot::{spawn, with_timeout};
use grapeshot_harness::{Output, Program, Ready, Running, example, require_from};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// The system's own Python, as the modules that its packages install are for no other.
const PYTHON: &str = "/usr/bin/python3";

/// Python, if it has this module, which is a package of its own.
fn python_with(module: &str) -> Option<&'static str> {
    let import = Program::new(PYTHON).args(["-c", &format!("import {module}")]).output(PATIENCE);
    if import.is_ok_and(|output| output.end.success()) {
        return Some(PYTHON);
    }
    // No program has this name: it says that one is missing, and fails where every peer is asked for.
    require_from(&format!("python3 with {module}"), &format!("python3-{module}")).map(|_| PYTHON)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rpc_peers").join(name)
}

/// Leaves no compiled files beside the scripts.
fn python(python: &str, name: &str) -> Program {
    Program::new(python).arg("-B").arg(script(name))
}

/// Runs a test against real time, with a limit on all of it.
fn run(body: impl FnOnce() + 'static) {
    Test::new().real_time().run(|| with_timeout(PATIENCE, body).unwrap());
}

#[track_caller]
fn assert_done(output: &Output) {
    output.assert_success();
    assert!(output.stdout.text().ends_with("done\n"), "{output}");
}

#[test]
fn a_client_of_a_few_lines_of_python_calls_our_server() {
    let Some(path) = python_with("msgpack") else { return };
    let server = example("rpc_server").unwrap().args(["--listen", "127.0.0.1:0"]);
    let server = server.ready_when(Ready::line("listening on")).start().unwrap();
    let port = server.ready_addr().unwrap().port().to_string();
    assert_done(&python(path, "client.py").arg(&port).output(PATIENCE).unwrap());
    assert_eq!(server.stderr().text(), "");
}

/// The server of a few lines of Python, and its address.
fn python_server() -> Option<(Running, String)> {
    let server = python(python_with("msgpack")?, "server.py");
    let server = server.ready_when(Ready::line("listening on")).start().unwrap();
    let address = server.ready_addr().unwrap().to_string();
    Some((server, address))
}

/// Its hello is refused with a text, and it asserts that plain requests have four elements.
#[test]
fn a_server_that_knows_no_extensions_is_spoken_to_plainly() {
    let Some((server, address)) = python_server() else { return };
    run(move || {
        let client = Client::connect(&address).unwrap();
        assert!(client.connection().extensions().is_empty());
        let value = Value::Map(vec![(1.into(), Value::Array(vec![Value::Nil, 1.5.into(), Value::Binary(vec![0xff])]))]);
        assert_eq!(client.call::<Value>("echo", &(&value,)).unwrap(), value);
        client.notify("told", &("something", 1)).unwrap();
        assert_eq!(client.call::<u8>("echo", &(1,)).unwrap(), 1);
        drop(client);
        let off = Client::builder().extensions(Extensions::Off).connect(&address).unwrap();
        assert_eq!(off.call::<u8>("echo", &(2,)).unwrap(), 2);
        let required = Client::builder().extensions(Extensions::Required);
        drop(off);
        assert!(required.connect(&address).is_err());
    });
    for line in ["request $/hello", "request echo", "notification told ['something', 1]", "request echo", "the end"] {
        server.wait_line(line, PATIENCE).unwrap();
    }
}

#[test]
fn failures_are_read_in_every_form_that_libraries_give_them() {
    let Some((_server, address)) = python_server() else { return };
    run(move || {
        let client = Client::connect(&address).unwrap();
        let failure = |method: &str| match client.call::<Value>(method, &()).unwrap_err() {
            CallError::Failed(failure) => failure,
            other => panic!("{other:?}"),
        };
        assert_eq!(failure("fail_text"), Failure::new(Failure::UNNAMED, "a text"));
        assert_eq!(failure("fail_map"), Failure::new(7, "a map").with_data(Value::Array(vec![1.into()])));
        let data = Value::Map(vec![("more".into(), true.into())]);
        assert_eq!(failure("fail_array"), Failure::new(7, "an array").with_data(data));
        let number = failure("fail_number");
        assert_eq!((number.code, number.data), (Failure::UNNAMED, Value::from(7)));
    });
}

#[test]
fn a_plain_server_calls_its_client_back_within_a_call() {
    let Some((_server, address)) = python_server() else { return };
    run(move || {
        let double = Router::new().method("double", |(number,): (u64,)| Ok(2 * number));
        let client = Client::builder().service(double).connect(&address).unwrap();
        assert_eq!(client.call::<u64>("call_back", &(21,)).unwrap(), 42);
    });
}

#[test]
fn a_second_answer_and_one_for_nobody_change_nothing() {
    let Some((_server, address)) = python_server() else { return };
    run(move || {
        let client = Client::connect(&address).unwrap();
        assert_eq!(client.call::<String>("twice", &()).unwrap(), "first");
        assert_eq!(client.call::<String>("echo", &("third",)).unwrap(), "third");
        assert!(!client.is_closed());
    });
}

#[test]
fn a_connection_that_ends_within_a_call_leaves_its_outcome_unknown() {
    let Some((_server, address)) = python_server() else { return };
    run(move || {
        for method in ["hang_up", "half", "wrong"] {
            let client = Client::connect(&address).unwrap();
            let error = client.call::<Value>(method, &()).unwrap_err();
            assert_eq!(error.outcome(), Outcome::Unknown, "{method}: {error:?}");
            let error = client.call::<Value>("echo", &(1,)).unwrap_err();
            assert_eq!(error.outcome(), Outcome::NotRun, "{method}: {error:?}");
        }
    });
}

#[test]
fn rpc_call_speaks_to_a_plain_server_as_well() {
    let Some((_server, address)) = python_server() else { return };
    let call = |method: &str, params: &str| {
        let output = example("rpc_call").unwrap().args([&address, method, params]).output(PATIENCE).unwrap();
        let grapeshot_harness::End::Exited(status) = output.end else { panic!("{output}") };
        (status.code().unwrap(), output.stdout.text().into_owned())
    };
    assert_eq!(
        call("echo", r#"[{"a": [1, {"$bytes": "00ff"}]}]"#),
        (0, "{\"a\":[1,{\"$bytes\":\"00ff\"}]}\n".to_owned())
    );
    let (code, said) = call("fail_map", "[]");
    assert_eq!((code, said.as_str()), (2, "{\"code\":7,\"data\":[1],\"message\":\"a map\"}\n"));
    assert_eq!(call("hang_up", "[]"), (3, String::new()));
}

/// As much of Neovim as pynvim asks for when it attaches, and a little of an editor.
fn as_neovim() -> Router {
    let lines = Rc::new(RefCell::new(Vec::<String>::new()));
    let kept = lines.clone();
    let types = ["Buffer", "Window", "Tabpage"].into_iter().zip(0..);
    let types = types.map(|(name, id)| (name.into(), Value::Map(vec![("id".into(), id.into())]))).collect();
    let api = Value::Map(vec![("types".into(), Value::Map(types))]);
    Router::new()
        .method("nvim_get_api_info", move |()| Ok((5, api.clone())))
        .method("nvim_get_current_buf", |()| Ok(Value::Ext(0, vec![1])))
        .method("nvim_buf_set_lines", move |(buffer, first, last, _, text): (Value, i64, i64, bool, Vec<String>)| {
            assert_eq!((buffer, first, last), (Value::Ext(0, vec![1]), 0, -1));
            *kept.borrow_mut() = text;
            Ok(())
        })
        .method("nvim_buf_get_lines", move |(_, _, _, _): (Value, i64, i64, bool)| Ok(lines.borrow().clone()))
        .method("nvim_eval", |(expression,): (String,)| {
            assert_eq!(expression, "6 * 7");
            Ok(42)
        })
        .method("nvim_command", |(command,): (String,)| {
            Err::<(), _>(Failure::new(0, format!("not a command: {command}")))
        })
        .method("twice", |(text,): (String,)| Ok(text.repeat(2)))
        .method_with_context("tell_me", |context: &Context, (count,): (u64,)| {
            let peer = context.caller().ok_or_else(|| Failure::new(1, "there is nobody to tell"))?;
            (0..count)
                .try_for_each(|number| peer.notify("tick", &(number,)))
                .map_err(|error| Failure::new(1, error.to_string()))
        })
        .method_with_context("ask_me", |context: &Context, (text,): (String,)| {
            let peer = context.caller().ok_or_else(|| Failure::new(1, "there is nobody to ask"))?;
            let told = |error: CallError| Failure::new(1, error.to_string());
            let reversed: String = peer.call("reverse", &(text,)).map_err(told)?;
            peer.notify("enough", &(reversed,)).map_err(told)
        })
}

#[test]
fn pynvim_takes_our_server_for_neovim() {
    let Some(path) = python_with("pynvim") else { return };
    run(move || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (port, handle) = (server.local_addr().unwrap().port(), server.handle());
        let serving = spawn(move || server.service(as_neovim()).serve());
        let output =
            Command::new(path).arg("-B").arg(script("pynvim_client.py")).arg(port.to_string()).output().unwrap();
        let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said == "done\n", "{said}{complaint}");
        handle.drain();
        serving.join().unwrap().unwrap();
    });
}
