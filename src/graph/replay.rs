//! One function of image batches, called again and again. On a GPU the launches of a call are recorded once and then replayed
//! as one (CUDA graphs): a small network there takes less time to run than to launch.

use tch::{Device, Tensor};

use super::kernels::{CudaGraph, HAS_CUDA};

/// How often a batch size is seen before it is worth a recording: the first call lets cuDNN choose its algorithms, which
/// can't be done within one.
const BEFORE_RECORDING: usize = 1;

/// See the [module](self). The function must launch the same work for every batch of one size, on the same weights.
pub struct Replay<'a> {
    call: Box<dyn Fn(&Tensor) -> Tensor + 'a>,
    recorder: Option<Recorder>,
    seen: (Vec<i64>, usize),
    recorded: Option<Recorded>,
}

/// Makes of some work what repeats it.
type Recorder = Box<dyn Fn(&dyn Fn()) -> Box<dyn Fn()>>;

/// A recording, and the memory that it reads and writes.
struct Recorded {
    input: Tensor,
    output: Tensor,
    replay: Box<dyn Fn()>,
}

impl<'a> Replay<'a> {
    /// Of `call`, which works on `device`.
    pub fn new(device: Device, call: impl Fn(&Tensor) -> Tensor + 'a) -> Self {
        let recorder = match device {
            Device::Cuda(index) if HAS_CUDA => Some(on_cuda(index)),
            _ => None,
        };
        Self { call: Box::new(call), recorder, seen: (vec![], 0), recorded: None }
    }

    /// What the function gives for `images`; valid until the next call.
    pub fn call(&mut self, images: &Tensor) -> Tensor {
        let Some(recorder) = &self.recorder else { return (self.call)(images) };
        let size = images.size();
        if let Some(Recorded { input, output, replay }) = self.recorded.as_ref().filter(|recorded| recorded.input.size() == size)
        {
            input.shallow_clone().copy_(images);
            replay();
            return output.shallow_clone();
        }
        if self.seen.0 != size {
            self.seen = (size, 0);
        }
        self.seen.1 += 1;
        if self.seen.1 <= BEFORE_RECORDING {
            return (self.call)(images);
        }
        self.recorded = Some(self.record(recorder, images));
        self.call(images)
    }

    fn record(&self, recorder: &Recorder, images: &Tensor) -> Recorded {
        let input = images.copy();
        let made = std::cell::OnceCell::new();
        let replay = recorder(&|| _ = made.set((self.call)(&input)));
        let output = made.into_inner().expect("a recorder does the work once");
        Recorded { input, output, replay }
    }
}

fn on_cuda(device: usize) -> Recorder {
    Box::new(move |work| {
        let graph = CudaGraph::record(device, work);
        Box::new(move || graph.replay())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;
    use tch::Kind;

    /// Two images of one pixel.
    fn pixels(value: f64, count: i64) -> Tensor {
        Tensor::full([count, 1, 1, 1], value, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn the_second_batch_of_a_size_is_recorded_and_later_ones_replayed() {
        let (calls, replays) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (counted, replayed) = (calls.clone(), replays.clone());
        // A view of the input: it shows what the recording's own input holds.
        let mut replay = Replay::new(Device::Cpu, |images| {
            counted.set(counted.get() + 1);
            images.view([-1])
        });
        replay.recorder = Some(Box::new(move |work| {
            work();
            let replayed = replayed.clone();
            Box::new(move || replayed.set(replayed.get() + 1))
        }));
        let mut steps = vec![];
        for (value, count) in [(1.0, 2), (2.0, 2), (3.0, 2), (4.0, 1), (5.0, 2), (6.0, 1)] {
            let given = replay.call(&pixels(value, count));
            assert_eq!(given.size(), [count]);
            assert_eq!(given.double_value(&[0]), value);
            steps.push((calls.get(), replays.get()));
        }
        // Seen; recorded and replayed; replayed; another size; replayed; the other size for the second time.
        assert_eq!(steps, [(1, 0), (2, 1), (2, 2), (3, 2), (3, 3), (4, 4)]);
    }

    #[test]
    fn nothing_is_recorded_on_a_cpu() {
        let calls = Cell::new(0);
        let mut replay = Replay::new(Device::Cpu, |images| {
            calls.set(calls.get() + 1);
            images.shallow_clone()
        });
        (0..4).for_each(|step| _ = replay.call(&pixels(f64::from(step), 2)));
        assert_eq!(calls.get(), 4);
    }
}
