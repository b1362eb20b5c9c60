//! `http_echo` under wrk.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod served;

use std::fs;

use grapeshot_harness::{Program, TempDir, require};

use served::{PATIENCE, Served};

/// wrk keeps on one thread so that it and a debug build share a small machine.
fn assert_no_errors(program: Program) {
    let output = program.output(PATIENCE).unwrap();
    let report = output.assert_success().stdout.text().into_owned();
    assert!(!report.contains("Socket errors"), "{report}");
    assert!(!report.contains("Non-2xx"), "{report}");
    let requests = report.lines().find_map(|line| line.trim().split_once(" requests in ")).unwrap().0;
    assert!(requests.parse::<u64>().unwrap() > 100, "{report}");
}

#[test]
fn many_connections_are_served_without_errors() {
    let Some(wrk) = require("wrk") else { return };
    let served = Served::start();
    assert_no_errors(Program::new(wrk).args(["-t1", "-c32", "-d1s", &served.url("/")]));
    served.interrupt();
}

#[test]
fn pipelined_requests_are_served_without_errors() {
    let Some(wrk) = require("wrk") else { return };
    let served = Served::start();
    let dir = TempDir::new().unwrap();
    let script = dir.path().join("pipeline.lua");
    let lua = "init = function(args)\n\
                 local all = {}\n\
                 for n = 1, 16 do all[n] = wrk.format('POST', '/' .. n, nil, 'body ' .. n) end\n\
                 sixteen = table.concat(all)\n\
               end\n\
               request = function() return sixteen end\n";
    fs::write(&script, lua).unwrap();
    assert_no_errors(Program::new(wrk).args(["-t1", "-c8", "-d1s", "-s"]).arg(script).arg(served.url("/")));
    served.interrupt();
}

/// A connection for each request.
#[test]
fn connections_that_close_are_served_without_errors() {
    let Some(wrk) = require("wrk") else { return };
    let served = Served::start();
    let url = served.url("/");
    let output =
        Program::new(wrk).args(["-t1", "-c8", "-d1s", "-H", "Connection: close", &url]).output(PATIENCE).unwrap();
    let report = output.assert_success().stdout.text().into_owned();
    assert!(!report.contains("Non-2xx"), "{report}");
    // wrk counts it as an error of reading when the connection ends, though it asked for that.
    let errors = report.lines().find(|line| line.contains("Socket errors")).unwrap_or("connect 0, timeout 0");
    assert!(errors.contains("connect 0,") && errors.contains("timeout 0"), "{report}");
    served.interrupt();
}
