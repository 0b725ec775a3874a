// Nesterov SGD over slices of a flat vector: one pass over weights and momentum.

#pragma once

#include "simd.h"

namespace supernaut {

/// The constants of one update: `d = scale·g + decay·w; m ← momentum·m + d; w ← w − rate·(nesterov ? d + momentum·m : m)`.
struct Update {
    float rate, momentum, decay, scale;
    bool nesterov;
};

namespace SUPERNAUT_LEVEL {

/// Updates `count` weights; `gradient` may be null, for zeros.
void update(const Update& constants, float* weights, float* momentum, const float* gradient, Index count);

/// Sum of squares.
double squares(const float* values, Index count);

}  // namespace SUPERNAUT_LEVEL
}  // namespace supernaut
