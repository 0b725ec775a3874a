// The kernels, compiled once for each level of instructions; which level runs is decided when the program does.

#pragma once

#include "conv.h"
#include "join.h"
#include "sgd.h"

namespace supernaut {

/// Kernels of images stored as S and computed in T, and of weights in T: see conv.h and join.h.
template <class S, class T>
struct ImageKernels {
    /// What all channels must be multiples of.
    Index lanes;
    void (*expand)(const ConvShape&, const T*, Index, bool, Index, T*);
    void (*convolve)(const ConvShape&, const Part<const S>*, const T*, const Part<S>*, Index, Index, T*);
    void (*correlate)(const ConvShape&, const Part<const S>*, const Part<const S>*, T*, Index, Index, T*);
    void (*collapse)(const ConvShape&, const T*, Index, Index, Index, T*);
    void (*moments)(const JoinShape&, const S*, const T*, Index, Index, double*, double*);
    void (*join)(const JoinShape&, const Term<S, T>*, Index, S*, S*, T, Index, Index, T*);
    void (*join_gradient)(const JoinShape&, const Reader<S>*, Index, const S*, T, S*, double*, const Normed<S, T>*, Index,
                          Index, Index, T*);
    void (*norm_gradient)(const JoinShape&, const S*, const S*, const T*, const T*, const T*, S*, Index, Index);
};

/// All kernels of one level.
struct Level {
    ImageKernels<float, float> floats;
    ImageKernels<double, double> doubles;
    ImageKernels<BFloat16, float> halves;
    /// See sgd.h.
    void (*update)(const Update&, float*, float*, const float*, Index);
    double (*squares)(const float*, Index);

    const ImageKernels<float, float>& of(float, float) const { return floats; }
    const ImageKernels<double, double>& of(double, double) const { return doubles; }
    const ImageKernels<BFloat16, float>& of(BFloat16, float) const { return halves; }
};

/// One function per level that is compiled: what any CPU of the architecture has (on x86-64 with AVX2, which is asked for
/// before kernels are used at all), AVX-512 with its bf16 conversions, and the same with vectors of 64 bytes. All three
/// compute every number by the same operations in the same order; only, AVX-512 converts what is below 1.2e-38 to 0 in bf16.
namespace base {
const Level& level();
}
namespace avx512 {
const Level& level();
}
namespace wide {
const Level& level();
}

}  // namespace supernaut
