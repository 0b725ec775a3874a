#include "join.h"

namespace supernaut {
namespace {

template <class T>
using Vec = typename Simd<T>::Vector;

/// Adds `values` to doubles.
template <class T>
void add_to(double* sums, Vec<T> values) {
    for (Index lane = 0; lane < Simd<T>::lanes; ++lane) sums[lane] += values[lane];
}

/// Pixels whose sums are formed in T; longer ones go on in double, lest digits are lost.
constexpr Index pixels_at_once = 64;

/// Σ values and Σ values·weight(pixel, values) over some pixels of one group of lanes, four at a time.
template <class T, class Values, class Weight>
void add_sums(Index pixels, Values values, Weight weight, double* sums, double* products) {
    for (Index first = 0; first < pixels; first += pixels_at_once) {
        const Index end = first + pixels_at_once < pixels ? first + pixels_at_once : pixels;
        Vec<T> sum{}, product{};
        Index pixel = first;
        for (; pixel + 4 <= end; pixel += 4) {
            const Vec<T> v0 = values(pixel), v1 = values(pixel + 1), v2 = values(pixel + 2), v3 = values(pixel + 3);
            sum += (v0 + v1) + (v2 + v3);
            product += (v0 * weight(pixel, v0) + v1 * weight(pixel + 1, v1)) +
                       (v2 * weight(pixel + 2, v2) + v3 * weight(pixel + 3, v3));
        }
        for (; pixel < end; ++pixel) {
            const Vec<T> v = values(pixel);
            sum += v;
            product += v * weight(pixel, v);
        }
        if (sums) add_to<T>(sums, sum);
        add_to<T>(products, product);
    }
}

/// Pixels of a 3-wide window around `at` that lie in 0…size.
template <class T>
T neighbours(Index at, Index size) {
    return T(3 - (at == 0) - (at == size - 1));
}

/// row += row `y` of the 3×3 average of `image`, or of the adjoint of averaging.
template <class S, class T>
void add_pooled(const JoinShape& shape, const S* image, Index y, bool adjoint, T* column, T* row) {
    constexpr Index lanes = Simd<T>::lanes;
    const Index channels = shape.channels, numbers = shape.width * channels;
    const Index top = y > 0 ? y - 1 : 0, bottom = y + 1 < shape.height ? y + 1 : y;
    for (Index at = 0; at < numbers; at += lanes) {
        Vec<T> sum{};
        for (Index from = top; from <= bottom; ++from) {
            const Vec<T> value = Simd<T>::load(image + from * numbers + at);
            sum += adjoint ? value / neighbours<T>(from, shape.height) : value;
        }
        Simd<T>::store(column + at, adjoint ? sum / neighbours<T>(at / channels, shape.width) : sum);
    }
    for (Index x = 0; x < shape.width; ++x) {
        const T share = adjoint ? T(1) : 1 / (neighbours<T>(y, shape.height) * neighbours<T>(x, shape.width));
        for (Index channel = 0; channel < channels; channel += lanes) {
            const T* middle = column + x * channels + channel;
            Vec<T> sum = Simd<T>::load(middle);
            if (x > 0) sum += Simd<T>::load(middle - channels);
            if (x + 1 < shape.width) sum += Simd<T>::load(middle + channels);
            T* to = row + x * channels + channel;
            Simd<T>::store(to, Simd<T>::load(to) + sum * share);
        }
    }
}

/// row += the term's row that starts at `from` and is the `y`-th of its image.
template <class S, class T>
void add_term(const JoinShape& shape, const Term<S, T>& term, Index from, Index y, T* column, T* row) {
    constexpr Index lanes = Simd<T>::lanes;
    const Index numbers = shape.width * shape.channels;
    if (term.form == Form::pooled) return add_pooled(shape, term.data + from - y * numbers, y, false, column, row);
    if (!term.scale) {
        for (Index at = 0; at < numbers; at += lanes)
            Simd<T>::store(row + at, Simd<T>::load(row + at) + Simd<T>::load(term.data + from + at));
        return;
    }
    for (Index pixel = 0; pixel < numbers; pixel += shape.channels)
        for (Index channel = 0; channel < shape.channels; channel += lanes) {
            const Vec<T> value = Simd<T>::load(term.data + from + pixel + channel);
            const Vec<T> normal = value * Simd<T>::load(term.scale + channel) + Simd<T>::load(term.shift + channel);
            Simd<T>::store(row + pixel + channel, Simd<T>::load(row + pixel + channel) + normal);
        }
}

/// row += what one reader's gradient, row `y` of its image, adds to that of the value.
template <class S, class T>
void add_reader(const JoinShape& shape, const Reader<S>& reader, const S* positive, Index from, Index y, T* column, T* row) {
    constexpr Index lanes = Simd<T>::lanes;
    const Index numbers = shape.width * shape.channels;
    if (reader.form == Form::pooled) return add_pooled(shape, reader.gradient + from - y * numbers, y, true, column, row);
    for (Index at = 0; at < numbers; at += lanes) {
        Vec<T> value = Simd<T>::load(reader.gradient + from + at);
        if (reader.form == Form::positive) value = Simd<T>::load(positive + from + at) > 0 ? value : Vec<T>{};
        Simd<T>::store(row + at, Simd<T>::load(row + at) + value);
    }
}

template <class T>
void clear(T* row, Index numbers) {
    for (Index at = 0; at < numbers; at += Simd<T>::lanes) Simd<T>::store(row + at, Vec<T>{});
}

}  // namespace

template <class S, class T>
void moments(const JoinShape& shape, const S* x, Index begin, Index end, double* sums, double* squares) {
    const Index pixels = shape.height * shape.width, channels = shape.channels;
    for (Index image = begin; image < end; ++image) {
        for (Index channel = 0; channel < channels; channel += Simd<T>::lanes) {
            const S* from = x + image * pixels * channels + channel;
            const auto values = [=](Index pixel) { return Simd<T>::load(from + pixel * channels); };
            const auto itself = [](Index, Vec<T> value) { return value; };
            add_sums<T>(pixels, values, itself, sums + image * channels + channel, squares + image * channels + channel);
        }
    }
}

template <class S, class T>
void join(const JoinShape& shape, const Term<S, T>* terms, Index count, S* sum, S* positive, Index begin, Index end,
          T* scratch) {
    constexpr Index lanes = Simd<T>::lanes;
    const Index numbers = shape.width * shape.channels;
    T *row = scratch, *column = scratch + numbers;
    for (Index line = begin * shape.height; line < end * shape.height; ++line) {
        const Index from = line * numbers;
        clear(row, numbers);
        for (Index term = 0; term < count; ++term) add_term(shape, terms[term], from, line % shape.height, column, row);
        for (Index at = 0; at < numbers; at += lanes) {
            const Vec<T> value = Simd<T>::load(row + at);
            if (sum) Simd<T>::store(sum + from + at, value);
            // Written so that what is not a number stays so.
            if (positive) Simd<T>::store(positive + from + at, value < 0 ? Vec<T>{} : value);
        }
    }
}

template <class S, class T>
void join_gradient(const JoinShape& shape, const Reader<S>* readers, Index count, const S* positive, S* gradient,
                   double* sums, const Normed<S, T>* normed, Index norms, Index begin, Index end, T* scratch) {
    constexpr Index lanes = Simd<T>::lanes;
    const Index channels = shape.channels, numbers = shape.width * channels;
    T *row = scratch, *column = scratch + numbers;
    for (Index line = begin * shape.height; line < end * shape.height; ++line) {
        const Index from = line * numbers, image = line / shape.height;
        clear(row, numbers);
        for (Index reader = 0; reader < count; ++reader)
            add_reader(shape, readers[reader], positive, from, line % shape.height, column, row);
        for (Index at = 0; at < numbers; at += lanes) Simd<T>::store(gradient + from + at, Simd<T>::load(row + at));
        for (Index norm = 0; norm < norms; ++norm) {
            for (Index channel = 0; channel < channels; channel += lanes) {
                const S* data = normed[norm].data + from + channel;
                const Vec<T> mean = Simd<T>::load(normed[norm].mean + channel);
                const auto values = [=](Index pixel) { return Simd<T>::load(row + pixel * channels + channel); };
                const auto centred = [=](Index pixel, Vec<T>) { return Simd<T>::load(data + pixel * channels) - mean; };
                // Every norm has the same sum of gradients: the first one's loop makes it.
                double* first = norm == 0 ? sums + image * channels + channel : nullptr;
                add_sums<T>(shape.width, values, centred, first, normed[norm].products + image * channels + channel);
            }
        }
    }
}

template <class S, class T>
void norm_gradient(const JoinShape& shape, const S* gradient, const S* data, const T* a, const T* b, const T* c, S* result,
                   Index begin, Index end) {
    const Index channels = shape.channels, image = shape.height * shape.width * channels;
    for (Index pixel = begin * image; pixel < end * image; pixel += channels)
        for (Index channel = 0; channel < channels; channel += Simd<T>::lanes) {
            const Vec<T> slope = Simd<T>::load(a + channel) * Simd<T>::load(gradient + pixel + channel);
            const Vec<T> drift = Simd<T>::load(b + channel) * Simd<T>::load(data + pixel + channel);
            Simd<T>::store(result + pixel + channel, slope + drift + Simd<T>::load(c + channel));
        }
}

#define SUPERNAUT_JOIN(S, T)                                                                                              \
    template void moments<S, T>(const JoinShape&, const S*, Index, Index, double*, double*);                              \
    template void join(const JoinShape&, const Term<S, T>*, Index, S*, S*, Index, Index, T*);                             \
    template void join_gradient(const JoinShape&, const Reader<S>*, Index, const S*, S*, double*, const Normed<S, T>*,    \
                                Index, Index, Index, T*);                                                                 \
    template void norm_gradient(const JoinShape&, const S*, const S*, const T*, const T*, const T*, S*, Index, Index);
SUPERNAUT_JOIN(float, float)
SUPERNAUT_JOIN(double, double)
SUPERNAUT_JOIN(BFloat16, float)

}  // namespace supernaut
