//! The C ABI: `include/supernaut.h` is written from these files. They translate and do nothing else, one file per handle.
//!
//! NULL, UTF-8, `struct_size` and panics are dealt with in [`boundary`], once. Every comment on an exported item is text
//! of the header, thus written for a C programmer.

#![allow(unsafe_code, reason = "C hands over raw pointers; what it promises of them stands in the header")]
#![allow(non_camel_case_types, reason = "these names are the header's")]
#![allow(clippy::missing_safety_doc, reason = "the header's first comment says what holds for every pointer")]

mod boundary;
mod context;
mod dataset;
mod error;
mod export;
mod folder;
mod job;
mod model;
mod program;
mod rank;
mod result;
mod space;
mod status;
mod strategy;
mod version;
