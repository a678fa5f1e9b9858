//! A PostgreSQL of our own, from the machine's server binaries: for trying tocsin out, for small sites, and for tests.
//!
//! The cluster lives in `<dir>/data` and is kept between runs. It listens on a Unix socket only, in a directory that only its
//! owner can enter. PostgreSQL refuses to run as root; as root, it is run as the user `postgres`, or `nobody` where there is none.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::User;

use super::StoreError;

/// The server binaries' directory is one of these, when it is not on PATH (Debian, Red Hat, Alpine, Homebrew, FreeBSD).
const PLACES: &[&str] =
    &["/usr/lib/postgresql", "/usr/pgsql", "/usr/libexec/postgresql", "/opt/homebrew/opt", "/usr/local/pgsql"];

/// A running private server.
#[derive(Debug)]
pub struct Embedded {
    binaries: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    owner: Option<User>,
}

impl Embedded {
    /// Starts the server in `dir`, making the cluster first if there is none; adopts it if it is running already.
    /// Blocks for some seconds; call it off the async threads.
    ///
    /// # Errors
    /// There are no server binaries, or they fail; the text says what to do.
    pub fn start(dir: &Path) -> Result<Embedded, StoreError> {
        let binaries = find_binaries().ok_or_else(|| {
            StoreError::Embedded(
                "no PostgreSQL server is installed on this machine; install one (Debian: apt-get install postgresql) or set database.url".into(),
            )
        })?;
        let owner = if nix::unistd::geteuid().is_root() {
            let found = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
            Some(found.ok_or_else(|| {
                StoreError::Embedded("running as root, but there is no user postgres or nobody to run it as".into())
            })?)
        } else {
            None
        };
        let dir = std::path::absolute(dir).map_err(disk("make", dir))?;
        fs::DirBuilder::new().recursive(true).mode(0o711).create(&dir).map_err(disk("make", &dir))?;
        let server = Embedded { data: dir.join("data"), socket: socket_dir(&dir), binaries, owner };
        for path in [&server.data, &server.socket] {
            server.owned_dir(path)?;
        }
        if !server.data.join("PG_VERSION").exists() {
            server.initdb()?;
        }
        server.ensure_running()?;
        Ok(server)
    }

    /// How to connect.
    pub fn options(&self) -> sqlx::postgres::PgConnectOptions {
        sqlx::postgres::PgConnectOptions::new_without_pgpass().socket(&self.socket).username("tocsin").database("postgres")
    }

    /// How people connect to the server in `dir`.
    pub fn conninfo_in(dir: &Path) -> String {
        let dir = &std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        format!("host={} user=tocsin dbname=postgres", socket_dir(dir).display())
    }

    /// Starts the server after [`Embedded::stop`] or [`Embedded::crash`]. Blocks.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&self) -> Result<(), StoreError> {
        self.launch()
    }

    /// Starts the server if it does not run; true if it did not. Blocks.
    ///
    /// # Errors
    /// It does not start.
    pub fn ensure_running(&self) -> Result<bool, StoreError> {
        if self.is_running()? {
            return Ok(false);
        }
        self.launch().map(|()| true)
    }

    /// Stops the server, letting running transactions end in an abort ("fast"). Blocks.
    ///
    /// # Errors
    /// `pg_ctl` failed.
    pub fn stop(&self) -> Result<(), StoreError> {
        self.control(&["stop", "-m", "fast", "-w", "-t", "10"])
    }

    /// Stops the server as a crash would ("immediate"): it recovers at its next start. Blocks.
    ///
    /// # Errors
    /// `pg_ctl` failed.
    pub fn crash(&self) -> Result<(), StoreError> {
        self.control(&["stop", "-m", "immediate", "-w", "-t", "30"])
    }

    fn control(&self, arguments: &[&str]) -> Result<(), StoreError> {
        let mut command = self.command("pg_ctl");
        command.arg("-D").arg(&self.data).args(arguments);
        run(command)
    }

    fn is_running(&self) -> Result<bool, StoreError> {
        let mut command = self.command("pg_ctl");
        command.arg("-D").arg(&self.data).arg("status");
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().map_err(disk("run", &self.binaries))?;
        Ok(status.success())
    }

    fn initdb(&self) -> Result<(), StoreError> {
        // Made beside its place and moved there when it is complete.
        let unfinished = self.data.with_extension("new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(disk("remove", &unfinished))?;
        }
        self.owned_dir(&unfinished)?;
        let mut command = self.command("initdb");
        // Trust is for the socket only, and only its owner can enter the directory that it is in.
        command.args([
            "-U",
            "tocsin",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--auth-local=trust",
            "--auth-host=reject",
            "--no-instructions",
            "-k",
        ]);
        command.arg("-D").arg(&unfinished);
        run(command)?;
        let settings = "listen_addresses = ''\nunix_socket_permissions = 0700\nmax_connections = 40\nshared_buffers = 128MB\n\
             max_wal_size = 4GB\ncheckpoint_timeout = 15min\nwal_compression = on\njit = off\ntimezone = 'UTC'\nlog_timezone = 'UTC'\n\
             cluster_name = 'tocsin'\n";
        let path = unfinished.join("postgresql.auto.conf");
        let before = fs::read_to_string(&path).map_err(disk("read", &path))?;
        fs::write(&path, before + settings).map_err(disk("write", &path))?;
        // The empty directory in its place gives way.
        fs::rename(&unfinished, &self.data).map_err(disk("move into place", &self.data))
    }

    fn launch(&self) -> Result<(), StoreError> {
        let log = self.data.join("server.log");
        let mut options = OsString::from("-k '");
        options.push(&self.socket);
        options.push("' -c listen_addresses='' -c unix_socket_permissions=0700");
        let mut command = self.command("pg_ctl");
        command.arg("-D").arg(&self.data).arg("-l").arg(&log).arg("-o").arg(options).args(["-w", "-t", "120", "start"]);
        // The server is a service of its own: a signal for our process group (Ctrl-C) is not for it; we stop it in order.
        command.process_group(0);
        // It would also keep our pipes open; what it has to say is in its log.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().map_err(|e| StoreError::Embedded(format!("cannot run pg_ctl: {e}")))?;
        if status.success() { Ok(()) } else { Err(StoreError::Embedded(format!("does not start; its log is {}", log.display()))) }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command
            .stdin(Stdio::null())
            .current_dir("/")
            .env_remove("PGDATA")
            .env_remove("PGHOST")
            .env_remove("PGPORT")
            .env("LC_ALL", "C.UTF-8")
            // gettext asks it first, in any locale but C itself: the server would speak the user's language.
            .env_remove("LANGUAGE");
        if let Some(user) = &self.owner {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Makes a directory that only the server's user can enter.
    fn owned_dir(&self, path: &Path) -> Result<(), StoreError> {
        use std::os::unix::fs::MetadataExt;
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(disk("make", path)(e)),
            _ => {}
        }
        // Somebody else may have made it first, where everybody may make directories.
        let owner = self.owner.as_ref().map_or(nix::unistd::geteuid(), |user| user.uid);
        let found = fs::symlink_metadata(path).map_err(disk("look at", path))?;
        if !found.is_dir() || (found.uid() != owner.as_raw() && found.uid() != nix::unistd::geteuid().as_raw()) {
            return Err(StoreError::Embedded(format!("{} belongs to somebody else; remove it", path.display())));
        }
        if let Some(user) = &self.owner {
            std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .map_err(disk("give to the server's user", path))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(disk("protect", path))
    }
}

/// A Unix socket's path has 107 bytes at most; for a deep directory it goes to a short one named after it.
fn socket_dir(dir: &Path) -> PathBuf {
    let near = dir.join("run");
    if near.as_os_str().len() + "/.s.PGSQL.5432".len() <= 107 {
        return near;
    }
    let hash = crc32fast::hash(dir.as_os_str().as_encoded_bytes());
    std::env::temp_dir().join(format!("tocsin-{}-{hash:08x}", nix::unistd::geteuid()))
}

/// The newest server's binaries.
fn find_binaries() -> Option<PathBuf> {
    let names = ["initdb", "pg_ctl", "postgres"];
    on_path(&names).or_else(|| newest(&names))
}

/// Where the newest of those programs are. Those on PATH may be wrappers that choose a version by clusters that they know, so they come last.
pub(super) fn find_programs(names: &[&str]) -> Option<PathBuf> {
    newest(names).or_else(|| on_path(names))
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|dir| has_all(dir, names))
}

fn newest(names: &[&str]) -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    let versions = PLACES.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
    for entry in versions {
        let name = entry.file_name().to_string_lossy().trim_start_matches(|c: char| !c.is_ascii_digit()).to_owned();
        let version = name.split('.').next().and_then(|v| v.parse().ok()).unwrap_or(0);
        let bin = entry.path().join("bin");
        if version >= 15 && has_all(&bin, names) {
            found.push((version, bin));
        }
    }
    found.into_iter().max().map(|(_, bin)| bin)
}

fn has_all(dir: &Path, names: &[&str]) -> bool {
    names.iter().all(|name| dir.join(name).is_file())
}

fn run(mut command: Command) -> Result<(), StoreError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| StoreError::Embedded(format!("cannot run {program}: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(StoreError::Embedded(format!("{program} failed ({}) {}", output.status, said.trim())))
}

fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Disk { what, path, source }
}
