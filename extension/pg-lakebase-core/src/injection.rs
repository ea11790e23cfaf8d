//! Injection points: places in the code where tests wait, fail or kill.

use std::ffi::{CStr, c_char};

use pgrx::pg_sys;

use crate::guard::call_c;

unsafe extern "C-unwind" {
    /// `utils/injection_point.h`, which pgrx has no bindings of.
    #[link_name = "InjectionPointRun"]
    fn injection_point_run(name: *const c_char);
    #[link_name = "InjectionPointShmemSize"]
    fn injection_point_shmem_size() -> pg_sys::Size;
}

/// Does what tests have attached to the injection point `name` (`INJECTION_POINT`): nothing on a server
/// that was built without injection points. It may raise.
pub fn point(name: &'static CStr) {
    // SAFETY: the first function only computes: a server without injection points needs no memory for
    // them. The second one may raise; guarded.
    unsafe {
        if injection_point_shmem_size() > 0 {
            call_c!(injection_point_run, name.as_ptr());
        }
    }
}
