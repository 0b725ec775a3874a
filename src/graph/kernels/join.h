// A sum of normalised, pooled and plain images, with a ReLU or ReLU6 of it: all that lies between two rounds of convolutions, in one
// pass over memory each way. Images lie as [batch, height, width, channels]; channels are a multiple of 8.

#pragma once

#include "simd.h"

namespace supernaut {

struct JoinShape {
    Index batch, height, width, channels;

    /// Numbers that `join` and `join_gradient` need as scratch, per thread.
    Index scratch() const { return (3 * width + 2) * channels; }
};

/// How an image enters a sum, or is read.
enum class Form : int {
    plain = 0,
    pooled = 1,  // 3×3 average, stride 1, that doesn't count the padding
    positive = 2,  // its ReLU
    clipped = 3,  // its ReLU6
};

/// Each file has its own: see simd.h.
static inline bool is_active(Form form) { return form == Form::positive || form == Form::clipped; }

/// One summand: `data · scale + shift` by channel where there is a scale, else `data` in the given form.
template <class S, class T>
struct Term {
    const S* data;
    const T* scale;
    const T* shift;
    Form form;
};

/// The gradient of a value that was read in some form.
template <class S>
struct Reader {
    const S* data;
    Form form;
};

/// A normalised term, and where its products with the gradient go.
template <class S, class T>
struct Normed {
    const S* data;
    const T* mean;
    double* products;  // [batch, channels]: sum over pixels of gradient · (data − mean)
};

namespace SUPERNAUT_LEVEL {

/// Sums by channel of x − pivot and of its square, of each image by itself: [batch, channels] each. A pivot [channels] near
/// the mean keeps the digits of a variance that is small beside it.
template <class S, class T>
void moments(const JoinShape& shape, const S* x, const T* pivot, Index begin, Index end, double* sums, double* squares);

/// Images `begin…end` of the sum of the terms, and of that between 0 and `most`; either may be null. A ReLU has no `most`: it
/// is not a number then, so that no comparison with it holds.
template <class S, class T>
void join(const JoinShape& shape, const Term<S, T>* terms, Index count, S* sum, S* active, T most, Index begin, Index end,
          T* scratch);

/// Images `begin…end` of the gradient of the sum, given those of its readers; `sums` [batch, channels] are its sums.
template <class S, class T>
void join_gradient(const JoinShape& shape, const Reader<S>* readers, Index count, const S* active, T most, S* gradient,
                   double* sums, const Normed<S, T>* normed, Index norms, Index begin, Index end, T* scratch);

/// Images `begin…end` of `result = a · gradient + b · data + c`, with a, b and c by channel.
template <class S, class T>
void norm_gradient(const JoinShape& shape, const S* gradient, const S* data, const T* a, const T* b, const T* c, S* result,
                   Index begin, Index end);

}  // namespace SUPERNAUT_LEVEL
}  // namespace supernaut
