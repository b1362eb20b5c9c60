//! Neovim at the other end: driven by us, calling us back, and as a client of our server.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grapeshot::channel::unbounded;
use grapeshot::net::process::Command;
use grapeshot::rpc::transport::{ChildExit, ChildTransport};
use grapeshot::rpc::{CallError, CallerExt as _, Client, Context, Failure, Outcome, Router, Server, Value};
use grapeshot::test::Test;
use grapeshot::{scope, spawn, with_timeout};
use grapeshot_harness::{Output, Program, Ready, Running, Signal, TempDir, example, require_from};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// No screen, nobody's settings, no swap files.
const QUIET: [&str; 3] = ["--headless", "--clean", "-n"];

fn neovim() -> Option<PathBuf> {
    require_from("nvim", "neovim")
}

/// Neovim, listening on a Unix socket in a folder of its own.
struct Listening {
    process: Running,
    socket: PathBuf,
    _folder: TempDir,
}

fn listening(nvim: &Path) -> Listening {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("nvim.sock");
    let program = Program::new(nvim).args(QUIET).arg("--listen").arg(&socket);
    let process = program.ready_when(Ready::unix(&socket)).start().unwrap();
    Listening { process, socket, _folder: folder }
}

/// Runs a test against real time, with a limit on all of it.
fn run(body: impl FnOnce() + 'static) {
    Test::new().real_time().run(|| with_timeout(PATIENCE, body).unwrap());
}

/// Neovim as our child, spoken to over its stdin and stdout.
fn embedded(nvim: &Path, service: Router) -> (Client, ChildExit) {
    let mut command = Command::new(nvim);
    command.arg("--embed").args(QUIET);
    let child = ChildTransport::spawn(command).unwrap();
    let exit = child.exit();
    (Client::builder().service(service).over(child).unwrap(), exit)
}

fn channel(nvim: &Client) -> u64 {
    nvim.call::<(u64, Value)>("nvim_get_api_info", &()).unwrap().0
}

fn failure(error: CallError) -> Failure {
    match error {
        CallError::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn neovim_evaluates_and_edits() {
    let Some(path) = neovim() else { return };
    let server = listening(&path);
    let socket = server.socket.clone();
    run(move || {
        let nvim = Client::connect_unix(socket).unwrap();
        assert!(nvim.connection().extensions().is_empty(), "Neovim knows no extensions");
        assert_eq!(nvim.call::<i64>("nvim_eval", &("6 * 7",)).unwrap(), 42);
        let nested: Value = nvim.call("nvim_eval", &("{'a': [1, v:null, v:true, 1.5, 'x'], 'b': {}}",)).unwrap();
        let list = Value::Array(vec![1.into(), Value::Nil, true.into(), 1.5.into(), "x".into()]);
        assert_eq!(nested["a"], list);
        assert_eq!(nested["b"], Value::Map(vec![]));

        let text = ["first", "", "Straße \u{1f347}", &"long ".repeat(100_000)];
        nvim.call::<()>("nvim_buf_set_lines", &(0, 0, -1, true, text)).unwrap();
        let lines: Vec<String> = nvim.call("nvim_buf_get_lines", &(0, 0, -1, true)).unwrap();
        assert_eq!(lines, text);
    });
    drop(server);
}

/// Buffers, windows and tab pages are extension types, whose numbers are in the description of the API.
#[test]
fn handles_of_neovim_are_values_that_go_back_as_they_came() {
    let Some(path) = neovim() else { return };
    let server = listening(&path);
    let socket = server.socket.clone();
    run(move || {
        let nvim = Client::connect_unix(socket).unwrap();
        let (_, api): (u64, Value) = nvim.call("nvim_get_api_info", &()).unwrap();
        for (name, current, valid) in [
            ("Buffer", "nvim_get_current_buf", "nvim_buf_is_valid"),
            ("Window", "nvim_get_current_win", "nvim_win_is_valid"),
            ("Tabpage", "nvim_get_current_tabpage", "nvim_tabpage_is_valid"),
        ] {
            let handle: Value = nvim.call(current, &()).unwrap();
            let Value::Ext(kind, _) = &handle else { panic!("{handle} is no extension type") };
            assert_eq!(api["types"][name]["id"], Value::from(*kind), "{name}");
            assert!(nvim.call::<bool>(valid, &(&handle,)).unwrap(), "{name}");
            let Value::Ext(kind, _) = handle else { unreachable!() };
            // The number of one that never was: 100, as a MessagePack integer within.
            assert!(!nvim.call::<bool>(valid, &(Value::Ext(kind, vec![100]),)).unwrap(), "{name}");
        }
    });
    drop(server);
}

#[test]
fn an_error_of_neovim_is_a_failure_and_the_connection_goes_on() {
    let Some(path) = neovim() else { return };
    let server = listening(&path);
    let socket = server.socket.clone();
    run(move || {
        let nvim = Client::connect_unix(socket).unwrap();
        let (_, api): (u64, Value) = nvim.call("nvim_get_api_info", &()).unwrap();
        let code = |name: &str| api["error_types"][name]["id"].as_i64().unwrap();

        let unknown = failure(nvim.call::<()>("nvim_command", &("sail",)).unwrap_err());
        assert_eq!(unknown.code, code("Exception"), "{unknown}");
        assert!(unknown.message.contains("E492"), "{unknown}");
        let outside = failure(nvim.call::<Value>("nvim_buf_get_lines", &(0, 7, 9, true)).unwrap_err());
        assert_eq!(outside.code, code("Validation"), "{outside}");
        let missing = failure(nvim.call::<()>("nvim_set_sail", &()).unwrap_err());
        assert!(missing.message.contains("nvim_set_sail"), "{missing}");
        assert_eq!(nvim.call::<i64>("nvim_eval", &("1",)).unwrap(), 1);
    });
    drop(server);
}

#[test]
fn many_calls_in_flight_are_each_answered_with_their_own() {
    let Some(path) = neovim() else { return };
    let server = listening(&path);
    let socket = server.socket.clone();
    run(move || {
        let nvim = Client::connect_unix(socket).unwrap();
        scope(|scope| {
            for number in 0..200_u64 {
                let nvim = &nvim;
                scope.spawn(move || {
                    let question = format!("{number} * {number}");
                    assert_eq!(nvim.call::<u64>("nvim_eval", &(question,)).unwrap(), number * number);
                });
            }
        });
    });
    drop(server);
}

#[test]
fn notifications_of_neovim_arrive_in_order_until_they_are_unsubscribed() {
    let Some(path) = neovim() else { return };
    let server = listening(&path);
    let socket = server.socket.clone();
    run(move || {
        let (sender, ticks) = unbounded();
        let service = Router::new().notification("tick", move |(number,): (u64,)| sender.send(number).unwrap());
        let nvim = Client::builder().service(service).connect_unix(socket).unwrap();
        nvim.call::<()>("nvim_subscribe", &("tick",)).unwrap();
        nvim.call::<()>("nvim_command", &("for n in range(1000) | call rpcnotify(0, 'tick', n) | endfor",)).unwrap();
        for number in 0..1000 {
            assert_eq!(ticks.recv(), Ok(number));
        }
        nvim.call::<()>("nvim_unsubscribe", &("tick",)).unwrap();
        nvim.call::<()>("nvim_command", &("call rpcnotify(0, 'tick', 1000)",)).unwrap();
        // This one is for our channel by its number, and the one before it would have come first.
        let last = format!("call rpcnotify({}, 'tick', 1001)", channel(&nvim));
        nvim.call::<()>("nvim_command", &(last,)).unwrap();
        assert_eq!(ticks.recv(), Ok(1001));
    });
    drop(server);
}

/// Each side waits for the other, several times over: our call for Neovim's, and that for our next one.
#[test]
fn neovim_calls_back_while_our_call_waits_however_often() {
    let Some(path) = neovim() else { return };
    run(move || {
        let down = |context: &Context, (number, channel): (u64, u64)| {
            if number == 0 {
                return Ok(0);
            }
            let question = format!("1 + rpcrequest({channel}, 'down', {}, {channel})", number - 1);
            let nvim = context.caller().ok_or_else(|| Failure::new(1, "there is nobody to call back"))?;
            nvim.call::<u64>("nvim_eval", &(question,)).map_err(|error| Failure::new(2, error.to_string()))
        };
        let (nvim, exit) = embedded(&path, Router::new().method_with_context("down", down));
        let question = format!("rpcrequest({0}, 'down', 10, {0})", channel(&nvim));
        assert_eq!(nvim.call::<u64>("nvim_eval", &(question,)).unwrap(), 10);
        nvim.close();
        assert!(exit.wait().unwrap().success());
    });
}

/// Neovim 0.7 shows the text of a failure only where its code is 0 or 1, the numbers of its own kinds of error.
#[track_caller]
fn assert_reads_no_code(exception: &str, text: &str) {
    assert!(exception.contains("unknown error") || exception.contains(text), "{exception}");
}

#[test]
fn a_failure_of_ours_is_an_exception_in_neovim() {
    let Some(path) = neovim() else { return };
    run(move || {
        let refuse = |()| Err::<(), _>(Failure::new(1, "the powder is wet"));
        let (nvim, exit) = embedded(&path, Router::new().method("fire", refuse));
        let channel = channel(&nvim);
        let caught = |method: &str| {
            let lines = format!("try\ncall rpcrequest({channel}, '{method}')\ncatch\nlet g:e = v:exception\nendtry");
            nvim.call::<String>("nvim_exec", &(lines, false)).unwrap();
            nvim.call::<String>("nvim_get_var", &("e",)).unwrap()
        };
        let exception = caught("fire");
        assert!(exception.contains("the powder is wet"), "{exception}");
        assert_reads_no_code(&caught("sail"), "there is no method `sail`");
        nvim.close();
        assert!(exit.wait().unwrap().success());
    });
}

/// A command that a plugin has defined asks us, and acts on the answer; the plugin's own code is Neovim's language.
#[test]
fn a_plugin_asks_us_for_text_when_its_command_is_given() {
    let Some(path) = neovim() else { return };
    run(move || {
        let reverse = |(text,): (String,)| Ok(text.chars().rev().collect::<String>());
        let (nvim, _exit) = embedded(&path, Router::new().method("reverse", reverse));
        let define =
            format!("command! Reverse call setline('.', rpcrequest({}, 'reverse', getline('.')))", channel(&nvim));
        nvim.call::<()>("nvim_command", &(define,)).unwrap();
        nvim.call::<()>("nvim_set_current_line", &("port and starboard",)).unwrap();
        nvim.call::<()>("nvim_command", &("Reverse",)).unwrap();
        assert_eq!(nvim.call::<String>("nvim_get_current_line", &()).unwrap(), "draobrats dna trop");
    });
}

/// Runs lines of Neovim's language; its standard output is what they say with `Say`, as JSON.
fn script(nvim: &Path, lines: &str) -> Output {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("script.vim");
    let said = folder.path().join("said");
    let say = "function Say(what)\n  call writefile([json_encode(a:what)], $SAID, 'a')\nendfunction\n";
    fs::write(&file, format!("{say}try\n{lines}\ncatch\n  call Say(v:exception)\nendtry\nqall!\n")).unwrap();
    fs::write(&said, "").unwrap();
    let program = Program::new(nvim).args(QUIET).arg("-S").arg(&file).env("SAID", &said);
    let mut output = program.output(PATIENCE).unwrap();
    output.stdout.bytes = fs::read(said).unwrap();
    output
}

#[test]
fn neovim_calls_our_server_over_tcp_and_a_unix_socket() {
    let Some(path) = neovim() else { return };
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("calls.sock");
    let places = ["--listen", socket.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let server = example("rpc_server").unwrap().args(places);
    let server = server.ready_when(Ready::line("listening on 127.0.0.1")).start().unwrap();
    let address = server.ready_addr().unwrap();
    let output = script(
        &path,
        &format!(
            "let tcp = sockconnect('tcp', '{address}', {{'rpc': v:true}})
            let pipe = sockconnect('pipe', '{}', {{'rpc': v:true}})
            call Say(rpcrequest(tcp, 'add', 40, 2))
            call Say(rpcrequest(pipe, 'add', 0.5, 1))
            call Say(rpcrequest(tcp, 'echo', {{'a': [1, v:null, 'x', v:true, {{}}]}}))
            call rpcnotify(tcp, 'bump', 5)
            call rpcnotify(tcp, 'bump', -2)
            call Say(rpcrequest(tcp, 'count'))
            for [method, params] in [['fail', ['no luck']], ['add', ['a', 1]], ['sail', []]]
              try
                call call('rpcrequest', [pipe, method] + params)
              catch
                call Say(v:exception)
              endtry
            endfor
            call Say(rpcrequest(pipe, 'count'))",
            socket.display()
        ),
    );
    output.assert_success();
    let said = output.stdout.text().into_owned();
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said[..4], ["42", "1.5", r#"{"a": [1, null, "x", true, {}]}"#, "3"], "{output}");
    assert!(said[4].contains("no luck"), "{output}");
    assert_reads_no_code(said[5], "two numbers are added");
    assert_reads_no_code(said[6], "no method `sail`");
    assert_eq!(said[7..], ["3"], "{output}");
}

/// It connected, but that does not make it the only one that calls.
#[test]
fn our_server_calls_a_neovim_that_has_connected() {
    let Some(path) = neovim() else { return };
    run(move || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        let (sender, told) = unbounded();
        let ask = |context: &Context, (question,): (String,)| {
            let nvim = context.caller().ok_or_else(|| Failure::new(1, "there is nobody to call back"))?;
            let answer: Value =
                nvim.call("nvim_eval", &(question,)).map_err(|error| Failure::new(2, error.to_string()))?;
            Ok(answer)
        };
        let service = Router::new()
            .method_with_context("ask", ask)
            .notification("tell", move |(what,): (Value,)| sender.send(what).unwrap());
        let serving = spawn(move || server.service(service).serve());

        let connect = format!("let us = sockconnect('tcp', '{address}', {{'rpc': v:true}})");
        let mut command = Command::new(&path);
        command.args(QUIET).args(["-c", "let g:cargo = ['rum', 12]", "-c", &connect]);
        command.args(["-c", "call rpcnotify(us, 'tell', rpcrequest(us, 'ask', 'g:cargo'))", "-c", "qall!"]);
        assert!(command.output().unwrap().status.success());
        assert_eq!(told.recv().unwrap(), Value::Array(vec!["rum".into(), 12.into()]));
        handle.drain();
        serving.join().unwrap().unwrap();
    });
}

#[test]
fn a_call_to_a_neovim_that_is_killed_has_an_unknown_outcome_at_once() {
    let Some(path) = neovim() else { return };
    let server = listening(&path);
    let socket = server.socket.clone();
    // The process is killed by the call that it makes while ours waits, so ours is certainly under way.
    run(move || {
        let process = server.process;
        let kill = move |()| {
            process.signal(Signal::KILL).unwrap();
            Ok(())
        };
        let nvim = Client::builder().service(Router::new().method("kill", kill)).connect_unix(socket).unwrap();
        let question = format!("rpcrequest({}, 'kill')", channel(&nvim));
        let error = nvim.call::<Value>("nvim_eval", &(question,)).unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error:?}");
        let error = nvim.call::<Value>("nvim_eval", &("1",)).unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotRun, "{error:?}");
    });
}

/// To quit is a call without an answer, and Neovim ends well.
#[test]
fn a_neovim_that_is_told_to_quit_answers_no_more() {
    let Some(path) = neovim() else { return };
    run(move || {
        let (nvim, exit) = embedded(&path, Router::new());
        let error = nvim.call::<()>("nvim_command", &("qall!",)).unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error:?}");
        assert!(exit.wait().unwrap().success());
    });
}

#[test]
fn the_example_drives_neovim_and_is_called_back() {
    if neovim().is_none() {
        return;
    }
    let output = example("neovim").unwrap().output(PATIENCE).unwrap();
    let said = output.assert_success().stdout.text().into_owned();
    let (first, rest) = said.split_once('\n').unwrap();
    assert!(first.starts_with("Neovim 0.") && first.ends_with("in which this program is channel 1"), "{output}");
    assert_eq!(
        rest,
        "it asks us to shout \"on deck\"\n\
         from line 1 on: all hands, on deck\n\
         from line 2 on: ON DECK\n\
         in the end: all hands, ON DECK\n\
         it refuses: Vim:E492: Not an editor command: sail\n\
         it has ended: exit status: 0\n",
        "{output}"
    );
}
