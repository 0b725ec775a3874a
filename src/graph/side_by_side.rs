//! Independent pieces of work, each on one thread, as many at a time as there are threads.
//!
//! A small operation gains little from a second thread: the threads wait for each other after each, and what one has written
//! the other reads. Where there are several batches or several paths, a thread is better used on one of its own.

use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tch::Device;

use super::kernels;

/// Pieces of work that depend on nothing but themselves.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    /// How many.
    pub count: usize,
    /// Bytes that each takes at the most.
    pub bytes: u64,
}

impl Pieces {
    /// How many run at a time on `device` where operations may use `threads`: all threads are used, or one piece at a time
    /// gets all of them. With fewer than two pieces a thread, too many threads would be idle at the end; large pieces, which
    /// gain little, would take too much memory together.
    pub fn workers(self, threads: usize, device: Device, together: u64) -> usize {
        let are_enough = self.count >= 2 * threads && kernels::in_pool(threads as u64 * self.bytes) <= together;
        if device == Device::Cpu && are_enough { threads.max(1) } else { 1 }
    }
}

/// `work` on `pieces`, which its `workers` take one after the other, from the first to the last; each gets something of its own
/// from `own` and gives one result. A single worker is this thread. Whatever libtorch does within one of several is done by that
/// thread alone; gradients are on there, whatever they are here.
pub fn side_by_side<W: Send, R: Send>(
    pieces: usize,
    workers: usize,
    own: impl Fn() -> W,
    work: impl Fn(W, &mut dyn Iterator<Item = usize>) -> R + Sync,
) -> Vec<R> {
    if workers < 2 {
        return vec![work(own(), &mut (0..pieces))];
    }
    let next = AtomicUsize::new(0);
    let desks: Vec<_> = (0..workers).map(|_| Mutex::new((Some(own()), None))).collect();
    kernels::on_threads(workers, &|worker| {
        let mut desk = desks[worker].lock().expect("nobody panics with it");
        let own = desk.0.take().expect("a worker comes once");
        let mut taken = iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&piece| piece < pieces));
        // This order, as a panic would leave the thread without gradients otherwise.
        desk.1 = Some(tch::with_grad(|| catch_unwind(AssertUnwindSafe(|| work(own, &mut taken)))));
    });
    let done = desks.into_iter().map(|desk| desk.into_inner().expect("nobody panics with it").1.expect("every worker works"));
    done.map(|result| result.unwrap_or_else(|panic| resume_unwind(panic))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{set_threads, threads};
    use std::thread;

    #[test]
    fn a_thread_is_used_once_it_has_two_pieces_and_there_is_room() {
        let workers = |count, threads, bytes| Pieces { count, bytes }.workers(threads, Device::Cpu, 100);
        assert_eq!([3, 4, 5].map(|count| workers(count, 2, 0)), [1, 2, 2]);
        assert_eq!([workers(31, 16, 0), workers(32, 16, 0), workers(100, 1, 0), workers(0, 2, 0)], [1, 16, 1, 1]);
        assert_eq!([workers(32, 16, 5), workers(32, 16, 6), workers(32, 2, 40)], [16, 1, 2]);
        assert_eq!(Pieces { count: 100, bytes: 0 }.workers(2, Device::Cuda(0), 100), 1);
    }

    #[test]
    fn every_piece_is_done_once_on_threads_that_work_alone() {
        set_threads(2);
        let results = tch::no_grad(|| {
            side_by_side(
                9,
                2,
                || thread::current().id(),
                |caller, pieces| {
                    let pieces: Vec<usize> = pieces.inspect(|_| thread::sleep(std::time::Duration::from_millis(5))).collect();
                    let one = tch::Tensor::from(1.0f32).set_requires_grad(true);
                    assert!((&one + &one).requires_grad(), "gradients are on");
                    assert_eq!(threads(), 1);
                    (pieces, thread::current().id(), caller)
                },
            )
        });
        let mut pieces: Vec<usize> = results.iter().flat_map(|(pieces, ..)| pieces.clone()).collect();
        pieces.sort_unstable();
        assert_eq!(pieces, (0..9).collect::<Vec<_>>());
        assert_eq!(results.len(), 2);
        assert_ne!(results[0].1, results[1].1);
        assert!(results.iter().all(|(.., caller)| *caller == thread::current().id()));
        assert_eq!(threads(), 2, "as it was");
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        set_threads(2);
        let work = |(): (), pieces: &mut dyn Iterator<Item = usize>| {
            for piece in pieces {
                assert_ne!(piece, 3, "three is too many");
            }
        };
        let caught = catch_unwind(|| side_by_side(4, 2, || (), work)).unwrap_err();
        assert!(caught.downcast_ref::<String>().unwrap().contains("three is too many"));
    }
}
