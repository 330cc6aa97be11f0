//! Binding an output to a tensor that stays ours.
//!
//! `ort` 2.0.0-rc.14 makes a value of each bound output after every run and leaks some 400 bytes for it (the type
//! information that it asks the library for, and does not give back where the value is a tensor). Of outputs that it does not know of it
//! makes none.
#![allow(unsafe_code)]

use ort::AsPointer;
use ort::session::IoBinding;
use ort::value::DynValue;
use std::ffi::CString;

/// Lets runs through `binding` write the output `name` into `value`, which must hold as many numbers of the same type.
pub(super) fn bind_output(
    binding: &mut IoBinding,
    name: &str,
    value: &DynValue,
) -> ort::Result<()> {
    let name = CString::new(name).map_err(|_| ort::Error::new("a name holds a zero byte"))?;
    // SAFETY: all three pointers are of live objects. The library copies the name and takes a share of its own in the tensor
    // (`OrtValue` counts its owners), so none of them has to outlive the call; the binding is borrowed mutably, so nobody else
    // changes it. The status is a fresh one of this call.
    unsafe {
        let bind = ort::api().BindOutput;
        ort::Error::result_from_status(bind(binding.ptr_mut(), name.as_ptr(), value.ptr()))
    }
}
