//! Search for a loop of the caller's own: asked what to try, told how good it was.

use std::ffi::c_char;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::boundary::{borrow, boundary, copy_text, drop_handle, give, optional_text, text, values, write};
use super::context::Context;
use super::error::{Result, snt_error};
use super::space::snt_space;
use super::status::{SNT_END, SNT_NOT_READY, SNT_OK, snt_status};
use super::version::{give_json, snt_buffer};
use crate::reading::parse_json;
use crate::run::dialogue::{Dialogue, Next, Topic};
use crate::search::Query;

/// A search strategy whose loop and metric are the caller's. Every thread may use it; calls take turns.
pub struct snt_strategy {
    dialogue: Mutex<Dialogue>,
    _context: Arc<Context>,
}

fn dialogue<'a>(strategy: *const snt_strategy) -> Result<MutexGuard<'a, Dialogue>> {
    Ok(borrow(strategy, "strategy")?.dialogue.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Begins a search of `space`. `topic_json` may be NULL or hold two keys of a recipe's [search] table: "strategy", such as
/// {"kind": "nsga2", "population": 50}, and "limits" on params and macs, which count without dead operations. All chance comes
/// from `seed`: the same answers give the same questions.
///
/// `out` receives a handle that the caller frees with snt_strategy_free; NULL on failure. The space may be freed before. Any
/// thread. Does not block.
///
/// Errors: SNT_E_CONSTRAINT if no architecture meets the limits; SNT_E_INVALID_ARGUMENT for a limit on latency_ms, for a strategy
/// that the space is too large for, and if there is nothing to ask for. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_strategy_create(
    space: *const snt_space,
    topic_json: *const c_char,
    seed: u64,
    out: *mut *mut snt_strategy,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let snt_space { config, graph, context, .. } = borrow(space, "space")?;
        let topic: Topic = parse_json("search", optional_text(topic_json, "topic_json")?.unwrap_or("{}"))?;
        let dialogue = Dialogue::new(config.clone(), graph.clone(), &topic, seed)?;
        Ok(snt_strategy { dialogue: Mutex::new(dialogue), _context: context.clone() })
    })
}

/// The next architecture to judge, without operations that nothing reaches or reads: as it would be trained and exported. You may
/// ask for several before you answer the first.
///
/// SNT_OK with an architecture; SNT_NOT_READY if earlier ones have to be answered first; SNT_END if nothing is left to try.
/// `buffer`, `capacity` and `needed` are those of snt_space_sample: a call that only asks for the size, or fails, leaves the
/// architecture the next. `images`, if not NULL, receives how many validation images the strategy wants it judged on, 0 for all;
/// most strategies always want all. Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_ARGUMENT if `capacity` doesn't suffice. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_strategy_ask(
    strategy: *const snt_strategy,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    images: *mut u64,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || {
        let mut dialogue = dialogue(strategy)?;
        let Query { arch, images: part } = match dialogue.peek() {
            Next::Judge(query) => query,
            Next::Wait => return Ok(SNT_NOT_READY),
            Next::End => return Ok(SNT_END),
        };
        copy_text(&dialogue.space().text(&arch), buffer, capacity, needed)?;
        if !buffer.is_null() {
            dialogue.ask();
        }
        if !images.is_null() {
            write(images, part.unwrap_or(0) as u64, "images")?;
        }
        Ok(SNT_OK)
    })
}

/// Tells how good `arch` is that was asked for: `count` figures, one per objective, each the smaller the better, the same number
/// every time. INFINITY is for what can't be judged.
///
/// Architectures may be told of in any order. Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_ARGUMENT if `arch` is none of the space, wasn't asked for or was told of before, for NaN, for no figure,
/// and for more or fewer than the first time. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_strategy_tell(
    strategy: *const snt_strategy,
    arch: *const c_char,
    figures: *const f64,
    count: usize,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || {
        let mut dialogue = dialogue(strategy)?;
        let arch = dialogue.space().parse(text(arch, "arch")?)?;
        Ok(dialogue.tell(&arch, values(figures, count, "figures")?.to_vec())?)
    })
}

/// Everything told so far: {"trials": [{"arch", "images": how many it was judged on, null for all, "figures", "front"}]}, in the
/// order of the questions. "front" marks what was judged on all images and is beaten by nothing in every figure.
///
/// Of a round that is not all told of, nothing is in it yet. `out` receives a buffer that the caller frees with snt_buffer_free.
/// Any thread. Does not block. No errors of its own. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_strategy_result_json(
    strategy: *const snt_strategy,
    out: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    give_json(out, err, || Ok(dialogue(strategy)?.result()))
}

/// Frees a strategy; NULL is fine.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_strategy_free(strategy: *mut snt_strategy) {
    drop_handle(strategy);
}
