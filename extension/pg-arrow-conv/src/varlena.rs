//! Variable-length datums (`varatt.h`): reading their bytes, detoasting them, writing headers.

use pgrx::pg_sys;
use std::ptr::NonNull;
use std::slice;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("datums are taken to be 8 bytes wide");

/// Bytes of the header that datums in memory have.
pub(crate) const VARHDRSZ: usize = pg_sys::VARHDRSZ;

/// What the first byte of a varlena says about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    /// Four-byte header, bytes as they are.
    Plain,
    /// One-byte header, bytes as they are.
    Short,
    /// Compressed, or a pointer to elsewhere.
    Extended,
}

#[inline]
fn classify(first: u8) -> Header {
    #[cfg(target_endian = "little")]
    let (plain, short, external) = (first & 0x03 == 0, first & 0x01 != 0, first == 0x01);
    #[cfg(target_endian = "big")]
    let (plain, short, external) = (first & 0xC0 == 0, first & 0x80 != 0, first == 0x80);
    match (plain, short && !external) {
        (true, _) => Header::Plain,
        (_, true) => Header::Short,
        _ => Header::Extended,
    }
}

#[inline]
fn plain_size(header: u32) -> usize {
    #[cfg(target_endian = "little")]
    let size = header >> 2;
    #[cfg(target_endian = "big")]
    let size = header & 0x3FFF_FFFF;
    size as usize
}

#[inline]
fn short_size(first: u8) -> usize {
    #[cfg(target_endian = "little")]
    let size = first >> 1;
    #[cfg(target_endian = "big")]
    let size = first & 0x7F;
    usize::from(size)
}

/// The header word of a datum of `size` bytes, itself included (`SET_VARSIZE`).
#[inline]
pub(crate) fn plain_header(size: usize) -> [u8; VARHDRSZ] {
    #[cfg(target_endian = "little")]
    let header = (size as u32) << 2;
    #[cfg(target_endian = "big")]
    let header = size as u32 & 0x3FFF_FFFF;
    header.to_ne_bytes()
}

/// Bytes after the header of a datum that is neither compressed nor external; `None` if it is.
///
/// # Safety
///
/// `varlena` points to a valid varlena datum that outlives `'a`.
#[inline]
unsafe fn plain_bytes<'a>(varlena: *const u8) -> Option<&'a [u8]> {
    // SAFETY: a varlena has at least one byte, and as many as its header says; a four-byte header
    // may be unaligned inside of a packed value, so it is read byte by byte.
    unsafe {
        let first = *varlena;
        match classify(first) {
            Header::Plain => {
                let size = plain_size(varlena.cast::<u32>().read_unaligned());
                Some(slice::from_raw_parts(
                    varlena.add(VARHDRSZ),
                    size.saturating_sub(VARHDRSZ),
                ))
            }
            Header::Short => Some(slice::from_raw_parts(
                varlena.add(1),
                short_size(first).saturating_sub(1),
            )),
            Header::Extended => None,
        }
    }
}

/// Calls `read` with the bytes of a varlena datum, detoasting it for the time of the call.
///
/// # Safety
///
/// `datum` is a valid varlena datum.
#[inline]
pub(crate) unsafe fn with_bytes<R>(datum: pg_sys::Datum, read: impl FnOnce(&[u8]) -> R) -> R {
    // SAFETY: the caller's datum outlives this call.
    match unsafe { plain_bytes(datum.cast_mut_ptr::<u8>()) } {
        Some(bytes) => read(bytes),
        // SAFETY: as above.
        None => unsafe { with_detoasted_bytes(datum, read) },
    }
}

/// # Safety
///
/// As [`with_bytes`].
#[cold]
unsafe fn with_detoasted_bytes<R>(datum: pg_sys::Datum, read: impl FnOnce(&[u8]) -> R) -> R {
    // SAFETY: the caller passes a varlena datum.
    let detoasted = unsafe { Detoasted::aligned(datum) };
    read(&detoasted.as_bytes()[VARHDRSZ..])
}

/// A varlena datum with a four-byte header at an aligned address (`PG_DETOAST_DATUM`), freed on
/// drop if it had to be made.
pub(crate) struct Detoasted {
    varlena: NonNull<u8>,
    owned: bool,
}

impl Detoasted {
    /// # Safety
    ///
    /// `datum` is a valid varlena datum that outlives the value.
    #[inline]
    pub(crate) unsafe fn aligned(datum: pg_sys::Datum) -> Self {
        let original = datum.cast_mut_ptr::<u8>();
        // SAFETY: the caller passes a varlena datum; pg_detoast_datum returns its argument or
        // newly allocated memory, never NULL, and raises through pgrx's guard.
        unsafe {
            if classify(*original) == Header::Plain {
                return Self {
                    varlena: NonNull::new_unchecked(original),
                    owned: false,
                };
            }
            let detoasted = pg_sys::pg_detoast_datum(original.cast()).cast::<u8>();
            Self {
                varlena: NonNull::new_unchecked(detoasted),
                owned: detoasted != original,
            }
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.varlena.as_ptr()
    }

    /// The whole datum, header included; at least a header long.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: the datum is detoasted, so it is as long as its four-byte header says.
        unsafe {
            let start = self.varlena.as_ptr();
            let size = plain_size(start.cast::<u32>().read_unaligned());
            slice::from_raw_parts(start, size.max(VARHDRSZ))
        }
    }
}

impl Drop for Detoasted {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: pg_detoast_datum allocated it, and nothing else refers to it.
            unsafe { pg_sys::pfree(self.varlena.as_ptr().cast()) }
        }
    }
}

/// Size of the varlena that starts `bytes`, header included; `None` if it does not fit.
///
/// Only for values inside of arrays, which hold no external pointers.
#[inline]
pub(crate) fn size_at(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    let size = if cfg!(target_endian = "little") && first & 0x01 != 0
        || cfg!(target_endian = "big") && first & 0x80 != 0
    {
        short_size(first)
    } else {
        plain_size(u32::from_ne_bytes(*bytes.first_chunk::<4>()?))
    };
    (size > 0 && size <= bytes.len()).then_some(size)
}
