// CUDA graphs: the launches of a plan, recorded once and replayed as one. Events: when a launch is done. Compiled where libtorch
// has its CUDA half.

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>

#include <memory>
#include <optional>

#include "caught.h"

namespace supernaut {
namespace {

/// A graph, and while it is recorded the stream that it is recorded on: the default one can't be.
struct Recording {
    at::cuda::CUDAGraph graph;
    std::optional<c10::cuda::CUDAStreamGuard> stream;
    bool is_open = false;

    /// If the work failed on the way, this thread's stream isn't left recording.
    ~Recording() {
        if (!is_open) return;
        try {
            graph.capture_end();
        } catch (...) {
            // Nothing of it is used.
        }
    }
};

}  // namespace

extern "C" {

/// From here to `supernaut_graph_end` the launches of this thread on `device` are recorded, not run.
char* supernaut_graph_begin(int device, Recording** result) {
    return caught([&] {
        // What is recorded reads what was launched before on the other stream.
        c10::cuda::device_synchronize();
        auto recording = std::make_unique<Recording>();
        recording->stream.emplace(c10::cuda::getStreamFromPool(false, c10::DeviceIndex(device)));
        // Another thread may go on with its own device calls.
        recording->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
        recording->is_open = true;
        *result = recording.release();
    });
}

char* supernaut_graph_end(Recording* recording) {
    return caught([&] {
        recording->is_open = false;
        recording->graph.capture_end();
        recording->stream.reset();
    });
}

/// Launches what was recorded, on the current stream. It reads and writes the tensors that the recording did.
char* supernaut_graph_replay(Recording* recording) {
    return caught([&] { recording->graph.replay(); });
}

void supernaut_graph_free(Recording* recording) { delete recording; }

/// A copy of a tensor on the CPU that a device can fetch in the background.
char* supernaut_pinned(const at::Tensor* tensor, at::Tensor** result) {
    return caught([&] { *result = new at::Tensor(tensor->pin_memory()); });
}

/// Marks where the current stream of `device` is now.
char* supernaut_event_record(int device, cudaEvent_t* result) {
    return caught([&] {
        const c10::cuda::CUDAGuard guard{c10::DeviceIndex(device)};
        cudaEvent_t event;
        C10_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
        const cudaError_t status = cudaEventRecord(event, c10::cuda::getCurrentCUDAStream(c10::DeviceIndex(device)));
        if (status != cudaSuccess) static_cast<void>(cudaEventDestroy(event));
        C10_CUDA_CHECK(status);
        *result = event;
    });
}

/// Waits until the device has come to the mark.
char* supernaut_event_wait(cudaEvent_t event) {
    return caught([&] { C10_CUDA_CHECK(cudaEventSynchronize(event)); });
}

/// What fails here has failed before, or the program is at its end.
void supernaut_event_free(cudaEvent_t event) { static_cast<void>(cudaEventDestroy(event)); }

}  // extern "C"
}  // namespace supernaut
