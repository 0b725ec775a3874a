// Convolutions with kernel 3 (padding 1) or 1, stride 1, over images that lie as [batch, height, width, channels].
//
// Kernel 3 is computed as Winograd's F(4×4, 3×3) (Lavin and Gray, arXiv:1509.09308): 36 products where the definition has
// 144. Input or output channels may lie in several tensors, which stand for one with all their channels.

#pragma once

#include "simd.h"

namespace supernaut {

/// Some of the channels of an image batch.
template <class S>
struct Part {
    S* data;  // [batch, height, width, channels]
    Index channels;  // a multiple of 8
};

/// Sides of a square of outputs that is computed together, of the window of inputs that it needs, and the products of a tile.
struct Tile {
    static constexpr int out = 4, in = 6, positions = 36, border = 1;
};

/// Sizes of a convolution, and how its work is cut.
struct ConvShape {
    Index batch, height, width;
    Index in, out;  // channels
    Index kernel;  // 1 or 3

    /// With kernel 1, pixels that are multiplied at once, so that they stay in the first cache where they are converted.
    static constexpr Index pixels_at_once = 96;
    /// Numbers between two positions: not a power of two, lest they compete for the same lines of a cache.
    static Index spacing(Index tiles, Index channels);

    /// Pieces of work that don't depend on each other.
    Index tiles() const;
    /// Products per tile, for one input and one output channel.
    Index positions() const;
    /// Tiles that `convolve` does together: what it has in hand stays in the second cache.
    Index tiles_at_once() const;
    /// The fewest of them that are worth it: a matrix product does six rows at a time.
    Index least_tiles() const { return kernel == 3 ? 6 : pixels_at_once; }
    /// Tiles that `correlate` does together: more, since each round reads and writes all of the expanded gradient.
    Index tiles_to_correlate() const;
    /// Numbers in the expanded weights.
    Index expanded() const { return positions() * in * out; }
    /// Numbers that `convolve` and `correlate` need as scratch, per thread.
    Index scratch() const;
};

namespace SUPERNAUT_LEVEL {

/// Expands weights [out, in, kernel, kernel] for `convolve` into columns `column…` of [positions, shape.in, shape.out];
/// with `adjoint`, for the gradient of the input: weights [in, out, kernel, kernel], mirrored, into rows `column…`.
template <class T>
void expand(const ConvShape& shape, const T* weights, Index channels, bool adjoint, Index column, T* expanded);

/// Tiles `begin…end` of the convolution of the parts `x` (together `shape.in` channels) into the parts `y` (`shape.out`).
template <class S, class T>
void convolve(const ConvShape& shape, const Part<const S>* x, const T* expanded, const Part<S>* y, Index begin, Index end,
              T* scratch);

/// What tiles `begin…end` contribute to the gradient of the expanded weights, given the gradients `dy` of the outputs.
template <class S, class T>
void correlate(const ConvShape& shape, const Part<const S>* x, const Part<const S>* dy, T* expanded, Index begin, Index end,
               T* scratch);

/// The gradient of weights [channels, in, kernel, kernel] out of that of the expanded ones, from `column` on: the sum of
/// `many` of these, one after the other in memory.
template <class T>
void collapse(const ConvShape& shape, const T* expanded, Index many, Index column, Index channels, T* weights);

}  // namespace SUPERNAUT_LEVEL
}  // namespace supernaut
