// CUDA graphs: the launches of a plan, recorded once and replayed as one. Compiled where libtorch has its CUDA half.

#include <ATen/cuda/CUDAGraph.h>
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
        *result = recording.release();
    });
}

char* supernaut_graph_end(Recording* recording) {
    return caught([&] {
        recording->graph.capture_end();
        recording->stream.reset();
    });
}

/// Launches what was recorded, on the current stream. It reads and writes the tensors that the recording did.
char* supernaut_graph_replay(Recording* recording) {
    return caught([&] { recording->graph.replay(); });
}

void supernaut_graph_free(Recording* recording) { delete recording; }

}  // extern "C"
}  // namespace supernaut
