//! Independent pieces of work, each on one thread, as many at a time as there are threads.
//!
//! A small operation gains little from a second thread: the threads wait for each other after each, and what one has written
//! the other reads. Where there are several batches or several paths, a thread is better used on one of its own.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tch::Device;

use super::{kernels, threads};

/// How many of `pieces` run at a time on `device` where operations may use `threads`: all threads are used, or one piece at a
/// time gets all of them. With fewer than two pieces a thread, too many threads would be idle at the end.
pub fn workers(pieces: usize, threads: usize, device: Device) -> usize {
    if device == Device::Cpu && pieces >= 2 * threads { threads.max(1) } else { 1 }
}

/// `work` on pieces 0…`pieces`, which its workers take one after the other, in this order; each gets something of its own from
/// `own` and gives one result. A single worker is this thread. Whatever libtorch does within one of several workers is done by
/// that thread alone; gradients are on there, whatever they are here.
pub fn side_by_side<W: Send, R: Send>(
    device: Device,
    pieces: usize,
    own: impl Fn() -> W,
    work: impl Fn(W, &mut dyn Iterator<Item = usize>) -> R + Sync,
) -> Vec<R> {
    let workers = workers(pieces, threads(), device);
    if workers < 2 {
        return vec![work(own(), &mut (0..pieces))];
    }
    let next = AtomicUsize::new(0);
    let desks: Vec<Mutex<Desk<W, R>>> = (0..workers).map(|_| Mutex::new(Desk::Given(own()))).collect();
    kernels::on_threads(workers, &|worker| {
        let mut desk = desks[worker].lock().expect("nobody panics with it");
        if let Desk::Given(own) = std::mem::replace(&mut *desk, Desk::Empty) {
            let mut taken = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&piece| piece < pieces));
            *desk = Desk::Done(catch_unwind(AssertUnwindSafe(|| work(own, &mut taken))));
        }
    });
    let done = desks.into_iter().map(|desk| match desk.into_inner().expect("nobody panics with it") {
        Desk::Done(result) => result.unwrap_or_else(|panic| resume_unwind(panic)),
        Desk::Given(_) | Desk::Empty => unreachable!("every worker works"),
    });
    done.collect()
}

/// What lies before a worker.
enum Desk<W, R> {
    Given(W),
    Empty,
    Done(thread::Result<R>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::set_threads;

    #[test]
    fn a_thread_is_used_once_it_has_two_pieces() {
        assert_eq!([3, 4, 5].map(|pieces| workers(pieces, 2, Device::Cpu)), [1, 2, 2]);
        assert_eq!([workers(31, 16, Device::Cpu), workers(32, 16, Device::Cpu)], [1, 16]);
        assert_eq!([workers(100, 2, Device::Cuda(0)), workers(100, 1, Device::Cpu), workers(0, 2, Device::Cpu)], [1; 3]);
    }

    #[test]
    fn every_piece_is_done_once_on_threads_that_work_alone() {
        set_threads(2);
        let own = || thread::current().id();
        let results = side_by_side(Device::Cpu, 9, own, |caller, pieces| {
            let pieces: Vec<usize> = pieces.inspect(|_| thread::sleep(std::time::Duration::from_millis(5))).collect();
            (pieces, thread::current().id(), caller)
        });
        let mut pieces: Vec<usize> = results.iter().flat_map(|(pieces, ..)| pieces.clone()).collect();
        pieces.sort_unstable();
        assert_eq!(pieces, (0..9).collect::<Vec<_>>());
        assert_eq!(results.len(), 2);
        assert_ne!(results[0].1, results[1].1);
        assert!(results.iter().all(|(.., caller)| *caller == thread::current().id()));
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        set_threads(2);
        let work = |(): (), pieces: &mut dyn Iterator<Item = usize>| {
            for piece in pieces {
                assert_ne!(piece, 3, "three is too many");
            }
        };
        let caught = catch_unwind(|| side_by_side(Device::Cpu, 4, || (), work)).unwrap_err();
        assert!(caught.downcast_ref::<String>().unwrap().contains("three is too many"));
    }
}
