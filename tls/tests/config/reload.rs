//! Certificates that are renewed while the server runs.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use grapeshot_core::{now, sleep, spawn, test, with_timeout};
use grapeshot_harness::TempDir;
use grapeshot_tls::rustls::pki_types::CertificateDer;
use grapeshot_tls::{ClientConfig, ConfigError, Identity, Reload, Reloader, SelfSigned, ServerConfig};
use rcgen::{CertificateParams, KeyPair};

use crate::ends::{meet, shown};

/// A folder with a pair in it, and somebody who can make more.
struct Files {
    dir: TempDir,
    signed: SelfSigned,
}

impl Files {
    fn new() -> Files {
        let files = Files { dir: TempDir::new().unwrap(), signed: SelfSigned::new(["localhost"]).unwrap() };
        write(files.dir.path(), &files.signed);
        files
    }

    fn chain(&self) -> PathBuf {
        self.dir.path().join("tls.crt")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("tls.key")
    }

    fn config(&self) -> ServerConfig {
        ServerConfig::from_pem_files(self.chain(), self.key()).unwrap()
    }

    fn renewed(&self) -> SelfSigned {
        self.signed.issue(["localhost"]).unwrap()
    }

    fn client(&self) -> ClientConfig {
        ClientConfig::builder().roots(self.signed.roots().unwrap()).servers_remembered(0).build().unwrap()
    }

    fn shown_by(&self, server: &ServerConfig) -> CertificateDer<'static> {
        shown(&meet(&self.client(), "localhost", server).well().0)
    }
}

fn write(folder: &Path, signed: &SelfSigned) {
    fs::write(folder.join("tls.crt"), signed.chain_pem()).unwrap();
    fs::write(folder.join("tls.key"), signed.key_pem()).unwrap();
}

fn end(signed: &SelfSigned) -> CertificateDer<'static> {
    signed.identity().unwrap().chain()[0].clone()
}

fn replaced(reload: Reload) -> Identity {
    match reload {
        Reload::Replaced { identity, .. } => identity,
        other => panic!("{other:?}"),
    }
}

fn refused(reload: Reload) -> ConfigError {
    match reload {
        Reload::Refused { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

/// Whatever way the new pair comes: in less than a minute, so it was the event that did it.
fn next(reloader: &mut Reloader) -> Reload {
    with_timeout(Duration::from_secs(10), || reloader.next()).unwrap().unwrap()
}

#[test]
fn files_written_anew_are_used_by_new_connections_and_old_ones_live_on() {
    test::run(|| {
        let files = Files::new();
        let server = files.config();
        let (mut near, mut far) = meet(&files.client(), "localhost", &server).well();
        let mut reloader = Reloader::new(&server).unwrap();
        let renewed = files.renewed();
        write(files.dir.path(), &renewed);
        assert_eq!(replaced(next(&mut reloader)).chain()[0], end(&renewed));
        // A clone has it as well.
        assert_eq!(files.shown_by(&server.clone()), end(&renewed));
        near.write_all(b"still here").unwrap();
        near.flush().unwrap();
        let mut heard = [0; 10];
        far.read_exact(&mut heard).unwrap();
        assert_eq!((&heard, shown(&near)), (b"still here", end(&files.signed)));
    });
}

#[test]
fn new_files_renamed_over_the_old_ones_are_seen() {
    test::run(|| {
        let files = Files::new();
        let server = files.config();
        let mut reloader = Reloader::new(&server).unwrap();
        for _ in 0..3 {
            let renewed = files.renewed();
            for (path, text) in [(files.chain(), renewed.chain_pem()), (files.key(), renewed.key_pem())] {
                let new = path.with_extension("new");
                fs::write(&new, text).unwrap();
                fs::rename(new, path).unwrap();
            }
            assert_eq!(replaced(next(&mut reloader)).chain()[0], end(&renewed));
            assert_eq!(files.shown_by(&server), end(&renewed));
        }
    });
}

/// As Kubernetes does it: `tls.crt` leads to `..data/tls.crt`, and `..data` to a folder with a date for a name.
#[test]
fn a_link_to_a_folder_that_is_swapped_is_seen() {
    test::run(|| {
        let files = Files::new();
        let root = files.dir.path().join("mounted");
        let put = |folder: &str, signed: &SelfSigned| {
            fs::create_dir_all(root.join(folder)).unwrap();
            write(&root.join(folder), signed);
            symlink(folder, root.join("..data_tmp")).unwrap();
            fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        };
        put("..2026_1", &files.signed);
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), root.join(name)).unwrap();
        }
        let server = ServerConfig::from_pem_files(root.join("tls.crt"), root.join("tls.key")).unwrap();
        let mut reloader = Reloader::new(&server).unwrap();
        for folder in ["..2026_2", "..2026_3"] {
            let renewed = files.renewed();
            put(folder, &renewed);
            assert_eq!(replaced(next(&mut reloader)).chain()[0], end(&renewed));
        }
    });
}

/// As certbot does it, and here the link is above the folder: neither file's own folder changes.
#[test]
fn a_link_further_up_is_seen() {
    test::run(|| {
        let files = Files::new();
        let root = files.dir.path();
        let renewed = files.renewed();
        for (folder, signed) in [("one", &files.signed), ("two", &renewed)] {
            fs::create_dir_all(root.join("archive").join(folder)).unwrap();
            write(&root.join("archive").join(folder), signed);
        }
        fs::create_dir(root.join("live")).unwrap();
        let link = root.join("live/current");
        symlink("../archive/one", &link).unwrap();
        let server = ServerConfig::from_pem_files(link.join("tls.crt"), link.join("tls.key")).unwrap();
        let mut reloader = Reloader::new(&server).unwrap();
        fs::remove_file(&link).unwrap();
        symlink("../archive/two", &link).unwrap();
        assert_eq!(replaced(next(&mut reloader)).chain()[0], end(&renewed));
    });
}

#[test]
fn a_bad_pair_is_reported_once_and_the_old_one_stays() {
    test::run(|| {
        let files = Files::new();
        let server = files.config();
        let mut reloader = Reloader::new(&server).unwrap();
        fs::write(files.key(), files.renewed().key_pem()).unwrap();
        let error = refused(next(&mut reloader));
        assert!(matches!(error, ConfigError::KeyMismatch { .. }), "{error}");
        assert!(error.to_string().contains("tls.key, line 1"), "{error}");
        assert_eq!(files.shown_by(&server), end(&files.signed));
        // Nothing more is said of it, however often it is looked at.
        with_timeout(Duration::from_secs(3600), || reloader.next()).unwrap_err();
        let renewed = files.renewed();
        write(files.dir.path(), &renewed);
        assert_eq!(replaced(next(&mut reloader)).chain()[0], end(&renewed));
    });
}

#[test]
fn a_file_that_is_gone_is_reported() {
    test::run(|| {
        let files = Files::new();
        let server = files.config();
        let mut reloader = Reloader::new(&server).unwrap();
        fs::remove_file(files.chain()).unwrap();
        let error = refused(next(&mut reloader));
        assert!(matches!(&error, ConfigError::File { path, .. } if *path == files.chain()), "{error}");
        assert_eq!(files.shown_by(&server), end(&files.signed));
    });
}

/// The chain comes now and the key half a second later: that is no mistake.
#[test]
fn a_pair_whose_halves_come_one_after_the_other_is_not_refused() {
    test::run(|| {
        let files = Files::new();
        let server = files.config();
        let mut reloader = Reloader::new(&server).unwrap();
        let renewed = files.renewed();
        fs::write(files.chain(), renewed.chain_pem()).unwrap();
        let (path, key) = (files.key(), renewed.key_pem().to_owned());
        let later = spawn(move || {
            sleep(Duration::from_millis(500));
            fs::write(path, key).unwrap();
        });
        assert_eq!(replaced(next(&mut reloader)).chain()[0], end(&renewed));
        later.join().unwrap();
    });
}

#[test]
fn a_certificate_for_other_names_is_refused() {
    test::run(|| {
        let files = Files::new();
        let identity = Identity::from_pem_files(files.chain(), files.key()).unwrap();
        let server = ServerConfig::builder().identity_for(["localhost"], identity).build().unwrap();
        let mut reloader = Reloader::new(&server).unwrap();
        write(files.dir.path(), &files.signed.issue(["example.org"]).unwrap());
        let error = refused(next(&mut reloader));
        assert!(matches!(&error, ConfigError::NotForName { name, .. } if name == "localhost"), "{error}");
        assert_eq!(files.shown_by(&server), end(&files.signed));
    });
}

#[test]
fn what_changed_before_the_watch_began_is_seen_at_once() {
    test::run(|| {
        let files = Files::new();
        let server = files.config();
        let renewed = files.renewed();
        write(files.dir.path(), &renewed);
        let began = now();
        let mut reloader = Reloader::new(&server).unwrap();
        assert_eq!(replaced(reloader.next().unwrap()).chain()[0], end(&renewed));
        assert_eq!(now(), began);
    });
}

/// A folder further up is renamed: inotify says nothing, and the look every minute finds it.
#[test]
fn what_no_event_tells_of_is_seen_within_a_minute() {
    test::run(|| {
        let files = Files::new();
        let (root, renewed) = (files.dir.path(), files.renewed());
        for (folder, signed) in [("a/certs", &files.signed), ("b/certs", &renewed)] {
            fs::create_dir_all(root.join(folder)).unwrap();
            write(&root.join(folder), signed);
        }
        let folder = root.join("a/certs");
        let server = ServerConfig::from_pem_files(folder.join("tls.crt"), folder.join("tls.key")).unwrap();
        let mut reloader = Reloader::new(&server).unwrap();
        fs::rename(root.join("a"), root.join("old")).unwrap();
        fs::rename(root.join("b"), root.join("a")).unwrap();
        let began = now();
        assert_eq!(replaced(reloader.next().unwrap()).chain()[0], end(&renewed));
        assert!(now() - began <= Duration::from_secs(61), "{:?}", now() - began);
    });
}

#[test]
fn a_reload_on_demand_says_what_has_changed() {
    test::run(|| {
        let files = Files::new();
        let server = files.config();
        assert!(server.reload().is_empty());
        let renewed = files.renewed();
        write(files.dir.path(), &renewed);
        let mut reloads = server.reload();
        assert_eq!(replaced(reloads.remove(0)).chain()[0], end(&renewed));
        assert_eq!(files.shown_by(&server), end(&renewed));
        fs::write(files.key(), "").unwrap();
        assert!(matches!(refused(server.reload().remove(0)), ConfigError::Missing { what: "private key", .. }));
        // It is said again, as it was asked for again.
        assert_eq!(server.reload().len(), 1);
    });
}

#[test]
fn a_wait_that_is_cancelled_loses_no_change() {
    test::run(|| {
        let files = Files::new();
        let server = files.config();
        let mut reloader = Reloader::new(&server).unwrap();
        let renewed = files.renewed();
        let (folder, expected) = (files.dir.path().to_owned(), end(&renewed));
        let later = spawn(move || {
            sleep(Duration::from_millis(10));
            write(&folder, &renewed);
        });
        // In the middle of its waiting for quiet: the events have been taken by then.
        with_timeout(Duration::from_millis(50), || reloader.next()).unwrap_err();
        later.join().unwrap();
        let began = now();
        assert_eq!(replaced(next(&mut reloader)).chain()[0], expected);
        assert_eq!(now(), began);
    });
}

/// A pair for `localhost` that stopped holding so long ago.
fn write_expired(files: &Files, ago: Duration) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = (SystemTime::now() - ago).into();
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(files.chain(), certificate.pem()).unwrap();
    fs::write(files.key(), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

#[test]
fn an_expired_certificate_does_not_take_the_place_of_a_valid_one() {
    test::run(|| {
        let files = Files::new();
        let server = files.config();
        let mut reloader = Reloader::new(&server).unwrap();
        write_expired(&files, Duration::from_secs(690 * 86_400));
        let error = refused(next(&mut reloader));
        assert!(matches!(error, ConfigError::Expired { .. }), "{error}");
        assert!(error.to_string().ends_with(", 690 days ago; the one in use has not"), "{error}");
        assert_eq!(files.shown_by(&server), end(&files.signed));
    });
}

#[test]
fn an_expired_certificate_is_replaced_by_whatever_there_is() {
    test::run(|| {
        let files = Files::new();
        write_expired(&files, Duration::from_secs(690 * 86_400));
        let mut reloader = Reloader::new(&files.config()).unwrap();
        let later = write_expired(&files, Duration::from_secs(86_400));
        assert_eq!(replaced(next(&mut reloader)).chain()[0], later);
        let renewed = files.renewed();
        write(files.dir.path(), &renewed);
        assert_eq!(replaced(next(&mut reloader)).chain()[0], end(&renewed));
    });
}
