#include "sgd.h"

namespace supernaut::SUPERNAUT_LEVEL {
namespace {

float moved(const Update& constants, float weight, float* momentum, float gradient) {
    const float direction = constants.scale * gradient + constants.decay * weight;
    *momentum = constants.momentum * *momentum + direction;
    return weight - constants.rate * (constants.nesterov ? direction + constants.momentum * *momentum : *momentum);
}

}  // namespace

void update(const Update& constants, float* weights, float* momentum, const float* gradient, Index count) {
    const Update local = constants;  // which the loops can't change
    if (gradient) {
        for (Index at = 0; at < count; ++at) weights[at] = moved(local, weights[at], momentum + at, gradient[at]);
    } else {
        for (Index at = 0; at < count; ++at) weights[at] = moved(local, weights[at], momentum + at, 0);
    }
}

double squares(const float* values, Index count) {
    typedef double Wide __attribute__((vector_size(32)));
    typedef float Narrow __attribute__((vector_size(16)));
    Wide sums{};
    Index at = 0;
    for (; at + 4 <= count; at += 4) {
        Narrow four;
        std::memcpy(&four, values + at, sizeof four);
        const Wide wide = __builtin_convertvector(four, Wide);
        sums += wide * wide;
    }
    double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (; at < count; ++at) sum += double(values[at]) * values[at];
    return sum;
}

}  // namespace supernaut::SUPERNAUT_LEVEL
