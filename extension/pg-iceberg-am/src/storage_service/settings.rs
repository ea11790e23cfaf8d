//! The settings `pg_lakebase.*`.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use nix::unistd::User;
use pg_lakebase_core::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};
use pg_lakebase_storage::client::ClientConfig;
use pgrx::{pg_guard, pg_sys};

use super::place;

static SERVICE: GucSetting<Service> = GucSetting::<Service>::new(Service::Auto);
/// Socket of a service that somebody else runs.
static SOCKET: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
/// The same, for threads that must not ask PostgreSQL.
static OTHERS_SOCKET: RwLock<Option<PathBuf>> = RwLock::new(None);
/// User that such a service may run as, besides the server's own and root.
static SERVICE_USER: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
/// The same for threads that must not ask PostgreSQL.
static SERVICE_USER_ID: RwLock<Option<TrustedUser>> = RwLock::new(None);
/// Where the cache lies, in the data directory if the path is relative.
static CACHE_DIRECTORY: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"pg_lakebase_cache"));
/// Megabytes of cached objects.
static CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(10 * 1024);
/// The service's program.
static PROGRAM: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
/// The service's file of credentials.
static CREDENTIALS_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Where the service serves metrics.
static METRICS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// A user as the configuration names it, and its id once that is known.
#[derive(Debug)]
struct TrustedUser {
    name: OsString,
    uid: Option<u32>,
}

impl TrustedUser {
    fn new(name: &OsStr) -> Self {
        Self {
            name: name.to_owned(),
            uid: user_id(name).ok().flatten(),
        }
    }
}

/// The id of the user that a service may have which somebody else runs. One that was not known is looked up again.
fn service_uid() -> Option<u32> {
    let known = SERVICE_USER_ID
        .read()
        .unwrap_or_else(PoisonError::into_inner);
    let user = known.as_ref()?;
    match user.uid {
        Some(uid) => Some(uid),
        None => user_id(&user.name).ok().flatten(),
    }
}

/// When the server runs the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
enum Service {
    /// Never.
    #[name = c"off"]
    Off,
    /// While there are object tablespaces.
    #[name = c"auto"]
    Auto,
    /// Always.
    #[name = c"on"]
    On,
}

/// Who runs the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Nobody.
    Nobody,
    /// The server, while there are object tablespaces.
    ServerIfNeeded,
    /// The server.
    Server,
    /// Somebody else, with this socket.
    Other(PathBuf),
}

/// Registers the settings; called once, from `_PG_init`.
pub fn register() {
    GucRegistry::define_enum_guc(
        c"pg_lakebase.storage_service",
        c"Whether the server runs the storage service: while there are tablespaces in object stores, always, or never.",
        c"",
        &SERVICE,
        GucContext::Sighup,
        GucFlags::default(),
    );
    // SAFETY: the hooks are guarded.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"pg_lakebase.storage_service_user",
            c"User that a storage service may run as which the server does not run itself, besides the server's own and root.",
            c"A name or an id. If it is empty, nobody else.",
            &SERVICE_USER,
            GucContext::Sighup,
            GucFlags::SUPERUSER_ONLY,
            Some(check_user),
            Some(assign_user),
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            c"pg_lakebase.metrics",
            c"Where the storage service that the server runs serves metrics to Prometheus.",
            c"The path of a Unix domain socket, or a loopback address with a port, such as 127.0.0.1:9187. If it is empty, nowhere.",
            &METRICS,
            GucContext::Sighup,
            GucFlags::SUPERUSER_ONLY,
            Some(check_metrics),
            None,
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            c"pg_lakebase.storage_socket",
            c"Socket of a storage service that the server does not run itself.",
            c"If it is empty, the server runs its own.",
            &SOCKET,
            GucContext::Sighup,
            GucFlags::SUPERUSER_ONLY,
            Some(check_socket),
            Some(assign_socket),
            None,
        );
    }
    string(
        c"pg_lakebase.cache_directory",
        c"Directory in which the storage service that the server runs keeps its cache.",
        c"A relative path is one below the data directory.",
        &CACHE_DIRECTORY,
    );
    GucRegistry::define_int_guc(
        c"pg_lakebase.cache_size",
        c"Most space on disk that cached objects take.",
        c"",
        &CACHE_SIZE,
        16,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
    string(
        c"pg_lakebase.storage_program",
        c"Program of the storage service that the server runs.",
        c"If it is empty, pg-lakebase-storage in the directory of the server's own program.",
        &PROGRAM,
    );
    string(
        c"pg_lakebase.credentials_file",
        c"File with the credentials for object stores, of the storage service that the server runs.",
        c"A relative path is one below the data directory.",
        &CREDENTIALS_FILE,
    );
    pg_lakebase_core::guc::reserve_prefix(c"pg_lakebase");
}

/// A path that the configuration sets.
fn string(
    name: &'static CStr,
    description: &'static CStr,
    more: &'static CStr,
    setting: &'static GucSetting<Option<CString>>,
) {
    let flags = GucFlags::SUPERUSER_ONLY;
    GucRegistry::define_string_guc(name, description, more, setting, GucContext::Sighup, flags);
}

/// Refuses paths that no socket can have.
#[pg_guard]
unsafe extern "C-unwind" fn check_socket(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL's own.
    unsafe { refuse_if(*value, place::unfit_for_socket) }
}

/// Refuses what is neither a path that a socket can have nor a port of this machine alone.
#[pg_guard]
unsafe extern "C-unwind" fn check_metrics(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL's own.
    unsafe { refuse_if(*value, place::unfit_for_metrics) }
}

/// Refuses users who are not there.
#[pg_guard]
unsafe extern "C-unwind" fn check_user(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL's own.
    unsafe {
        // A server starts also where users can be looked up only later.
        pg_sys::process_shared_preload_libraries_in_progress
            || refuse_if(*value, |user| user_id(user.as_os_str()).err())
    }
}

/// Notes the user's id for other threads.
#[pg_guard]
unsafe extern "C-unwind" fn assign_user(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: PostgreSQL passes a terminated string, or null.
    let value = (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) });
    let user = value.map(|value| OsStr::from_bytes(value.to_bytes()));
    *SERVICE_USER_ID
        .write()
        .unwrap_or_else(PoisonError::into_inner) = user.map(TrustedUser::new);
}

/// The id of a user by name or id; nobody's for an empty name.
fn user_id(user: &OsStr) -> Result<Option<u32>, String> {
    if user.is_empty() {
        return Ok(None);
    }
    // Nobody has a name that is no text.
    let name = user.to_string_lossy();
    if let Ok(uid) = name.parse() {
        return Ok(Some(uid));
    }
    match User::from_name(&name) {
        Ok(Some(user)) => Ok(Some(user.uid.as_raw())),
        Ok(None) => Err("There is no such user.".to_owned()),
        Err(error) => Err(format!("Users cannot be looked up: {error}.")),
    }
}

/// Whether a check hook takes a value; if not, the reason is the error's detail.
///
/// # Safety
///
/// A terminated string, or null.
unsafe fn refuse_if(value: *const c_char, reason: impl FnOnce(&Path) -> Option<String>) -> bool {
    if value.is_null() {
        return true;
    }
    // SAFETY: the caller's promise. The detail is copied to memory of PostgreSQL's.
    unsafe {
        let path = Path::new(OsStr::from_bytes(CStr::from_ptr(value).to_bytes()));
        let Some(reason) = reason(path) else {
            return true;
        };
        if let Ok(reason) = CString::new(reason) {
            pg_sys::GUC_check_errdetail_string = pg_sys::pstrdup(reason.as_ptr());
        }
        false
    }
}

/// Notes the path for other threads.
#[pg_guard]
unsafe extern "C-unwind" fn assign_socket(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: PostgreSQL passes a terminated string, or null.
    let value = (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) });
    let path = value.filter(|value| !value.is_empty());
    let mut known = OTHERS_SOCKET
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    *known = path.map(|path| OsStr::from_bytes(path.to_bytes()).into());
}

fn others_socket() -> Option<PathBuf> {
    let known = OTHERS_SOCKET.read().unwrap_or_else(PoisonError::into_inner);
    known.clone()
}

fn path(setting: &GucSetting<Option<CString>>) -> Option<PathBuf> {
    let path = setting.get()?;
    let path = OsStr::from_bytes(path.to_bytes());
    (!path.is_empty()).then(|| path.into())
}

/// Who runs the service.
pub fn provider() -> Provider {
    match (others_socket(), SERVICE.get()) {
        (Some(socket), _) => Provider::Other(socket),
        (None, Service::Off) => Provider::Nobody,
        (None, Service::Auto) => Provider::ServerIfNeeded,
        (None, Service::On) => Provider::Server,
    }
}

/// Where the service listens, whoever runs it. Any thread may ask.
pub fn socket() -> PathBuf {
    others_socket().unwrap_or_else(|| place::socket().into())
}

/// What its clients have to know. Any thread may ask.
pub fn client() -> ClientConfig {
    let mut config = ClientConfig::new(socket());
    config.trusted_uids = service_uid().into_iter().collect();
    config
}

/// Where the service serves metrics, if it does.
pub fn metrics() -> Option<PathBuf> {
    path(&METRICS)
}

/// Where the cache lies.
pub fn cache_directory() -> PathBuf {
    path(&CACHE_DIRECTORY).unwrap_or_else(|| "pg_lakebase_cache".into())
}

/// Megabytes of cached objects.
pub fn cache_megabytes() -> u32 {
    CACHE_SIZE.get().unsigned_abs()
}

/// The service's program, if it is not the one beside the server's own.
pub fn program() -> Option<PathBuf> {
    path(&PROGRAM)
}

/// The service's file of credentials, if there is one.
pub fn credentials_file() -> Option<PathBuf> {
    path(&CREDENTIALS_FILE)
}
