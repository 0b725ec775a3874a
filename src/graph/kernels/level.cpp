#include "level.h"

namespace supernaut::SUPERNAUT_LEVEL {
namespace {

template <class S, class T>
constexpr ImageKernels<S, T> kernels{Simd<T>::lanes,
                                     expand<T>,     convolve<S, T>, correlate<S, T>,     collapse<T>,
                                     moments<S, T>, join<S, T>,     join_gradient<S, T>, norm_gradient<S, T>};

}  // namespace

const Level& level() {
    static constexpr Level all{kernels<float, float>, kernels<double, double>, kernels<BFloat16, float>, update, squares};
    return all;
}

}  // namespace supernaut::SUPERNAUT_LEVEL
